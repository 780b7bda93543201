"""A client for model servers: `ModelClient`, and the values it takes and gives."""

from exporter.client.answers import Answer, Check, Metadata
from exporter.client.model_client import ModelClient
from exporter.client.server import NotOffered
from exporter.client.tokens import TokenStream
from exporter.model.endpoint import Auth, Basic, Bearer, HeaderAuth, OAuth2, Proxy, SigV4, Tls
from exporter.model.failure import Evidence, Failure, Reason
from exporter.model.job import Retry
from exporter.model.observation import Detection, Measurement
from exporter.model.secret import Secret
from exporter.model.stream import Channel, Outcome, StreamSummary, TokenEvent, Tokens

__all__ = [
    "Answer",
    "Auth",
    "Basic",
    "Bearer",
    "Channel",
    "Check",
    "Detection",
    "Evidence",
    "Failure",
    "HeaderAuth",
    "Measurement",
    "Metadata",
    "ModelClient",
    "NotOffered",
    "OAuth2",
    "Outcome",
    "Proxy",
    "Reason",
    "Retry",
    "Secret",
    "SigV4",
    "StreamSummary",
    "Tls",
    "TokenEvent",
    "TokenStream",
    "Tokens",
]
