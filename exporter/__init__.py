"""model-exporter: watches model-serving endpoints from the outside and tells Prometheus the truth about them."""

__version__ = "0.1.0"
