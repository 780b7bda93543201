"""The HTTP side: metrics, probes on demand, readiness per target, the status page and the JSON API."""
