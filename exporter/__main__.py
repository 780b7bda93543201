"""`python -m exporter` is `model-exporter`."""

from exporter.cli import main

main(prog_name="model-exporter")
