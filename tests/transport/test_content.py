import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model.failure import Failure, Reason
from exporter.transport import content
from exporter.transport.content import Decoder


def decode(coding: str, limit: int, *parts: bytes) -> bytes:
    decoder = Decoder(coding, limit)
    found = [piece for part in parts for piece in decoder.feed(part)]
    decoder.finish()
    assert all(len(piece) <= content.STEP for piece in found)
    return b"".join(found)


def bare(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


PACK = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress}


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(1, 40), st.sampled_from(["gzip", "deflate", "bare"]))
def test_what_was_packed_comes_back_in_small_steps(data: bytes, place: int, step: int, how: str) -> None:
    packed = bare(data) if how == "bare" else PACK[how](data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(content, "STEP", step)
        assert decode("deflate" if how == "bare" else how, 300, packed[:place], packed[place:]) == data


@pytest.mark.parametrize("size", range(0, 3000, 37))
def test_repetition_does_not_get_lost_at_the_edge_of_a_step(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last byte in may stand for hundreds out, and bare deflate has nothing after it."""
    for step in (1, 7, 100):
        monkeypatch.setattr(content, "STEP", step)
        assert decode("deflate", 3000, bare(b"a" * size)) == b"a" * size
        assert decode("gzip", 3000, gzip.compress(b"a" * size)) == b"a" * size


def test_members_and_padding() -> None:
    assert decode("gzip", 100, gzip.compress(b"a") + gzip.compress(b"b") + b"\0" * 7) == b"ab"


@pytest.mark.parametrize("coding", PACK)
def test_the_bound_is_on_what_comes_out(coding: str) -> None:
    assert decode(coding, 1000, PACK[coding](b"a" * 1000)) == b"a" * 1000
    with pytest.raises(Failure) as caught:
        decode(coding, 1000, PACK[coding](b"a" * 1001))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize("coding", PACK)
@pytest.mark.parametrize("spoil", [lambda data: data[:-3], lambda data: b"xx" + data, lambda data: data[:12]])
def test_spoiled(coding: str, spoil: object) -> None:
    with pytest.raises(Failure) as caught:
        decode(coding, 1000, spoil(PACK[coding](b"hello" * 20)))  # type: ignore[operator]
    assert caught.value.reason is Reason.ENCODING


def test_an_unknown_coding_is_not_repeated() -> None:
    with pytest.raises(Failure) as caught:
        Decoder("s3cr3t-token", 10)
    assert caught.value.reason is Reason.ENCODING
    assert "s3cr3t" not in caught.value.detail
    with pytest.raises(Failure, match="br"):
        Decoder("br", 10)
