"""What we are made of: whether something of it is known to be unsafe, the bill of materials, and the licences.

Each is a command, `python -m supply.NAME`; the Makefile has them as `make audit`, `make sbom` and `make licences`.
"""
