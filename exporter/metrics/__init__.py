"""What Prometheus reads: every metric declared once, rendered from the ledger's values."""
