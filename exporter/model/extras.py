"""Extras: libraries that only some configs need."""


def needs(extra: str) -> str:
    """What to say, after its name, of a thing whose extra is not installed."""
    return f"needs an extra that is not installed: pip install 'model-exporter[{extra}]'"
