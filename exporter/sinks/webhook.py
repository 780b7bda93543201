"""The sink `webhook`: batches of records, posted as JSON.

Identity and signature are those of Standard Webhooks (https://www.standardwebhooks.com): `webhook-id` is the batch's
own, and the same at each try; `webhook-timestamp` is that of the try; `webhook-signature` is `v1,` and the base64 of
HMAC-SHA256 over `ID.TIMESTAMP.BODY`. Any library for it verifies them. `Idempotency-Key` says the id once more, for
gateways that know that header.
"""

import hashlib
import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from exporter.contracts import Record
from exporter.model.failure import Failure, Reason
from exporter.sinks import records
from exporter.sinks.posting import post
from exporter.sinks.shape import VERSION
from exporter.sinks.spec import Webhook
from exporter.transport import auth, secrets
from exporter.transport.thread import in_thread

if TYPE_CHECKING:
    from exporter.transport.calls import Calls

_BASE64 = "whsec_"


class WebhookSink:
    """Posts through the client for calls that are no measurement."""

    def __init__(self, settings: Webhook, calls: Callable[[], "Calls"], wall: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._calls = calls
        self._wall = wall

    def encode(self, batch: Sequence[Record]) -> bytes:
        """`{"version": 1, "records": [...]}`."""
        lines = [records.line(record)[:-1] for record in batch]
        return b'{"version":%d,"records":[%s]}' % (VERSION, b",".join(lines))

    async def send(self, payload: bytes, key: str) -> None:
        """Post it."""
        headers = await in_thread(lambda: self._headers(payload, key), "webhook signature")
        to = self._settings.to
        await post(self._calls, to, to.url, headers, payload, self._settings.timeout)

    async def close(self) -> None:
        """Nothing is kept open between calls."""

    def _headers(self, payload: bytes, key: str) -> dict[str, str]:
        """Raises `Failure(auth)` when a secret cannot be read."""
        own = {"Content-Type": "application/json", "Idempotency-Key": key, "webhook-id": key}
        if self._settings.secret is not None:
            at = str(int(self._wall()))
            own["webhook-timestamp"] = at
            own["webhook-signature"] = signature(secrets.read(self._settings.secret), key, at, payload)
        return auth.headers_of(self._settings.to) | own


def signature(secret: str, key: str, at: str, payload: bytes) -> str:
    """The value of `webhook-signature`. A secret that begins with `whsec_` goes on in base64, as those libraries write
    it; any other is taken as it is. Raises `Failure(auth)`.
    """
    raw = secret.encode()
    if secret.startswith(_BASE64):
        try:
            raw = b64decode(secret.removeprefix(_BASE64), validate=True)
        except ValueError:
            raise Failure(Reason.AUTH, f"the secret begins with {_BASE64} and does not go on in base64") from None
    made = hmac.new(raw, f"{key}.{at}.".encode() + payload, hashlib.sha256)
    return f"v1,{b64encode(made.digest()).decode('ascii')}"
