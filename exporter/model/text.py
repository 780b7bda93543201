"""Text that came from outside, made safe for a label."""

#: Bytes of UTF-8 that a label's value may have of it.
LABEL_BYTES = 128


def label(text: str) -> str:
    """Text as the value of a label: what cannot be printed is left out, and it is cut between characters."""
    text = text[: 4 * LABEL_BYTES]
    if not text.isprintable():
        text = "".join(char for char in text if char.isprintable())
    encoded = text.encode()
    return (text if len(encoded) <= LABEL_BYTES else encoded[:LABEL_BYTES].decode(errors="ignore")).strip()
