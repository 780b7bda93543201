"""What the exporter costs, measured beside its peer: `python -m benchmarks` (or `make bench`). Linux only."""
