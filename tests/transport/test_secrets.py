import os
from pathlib import Path

import pytest

from exporter.model.endpoint import Basic, Bearer, HeaderAuth
from exporter.model.failure import Failure, Reason
from exporter.model.secret import Secret
from exporter.transport import auth, secrets


def refusal(secret: Secret) -> str:
    with pytest.raises(Failure) as caught:
        secrets.read(secret)
    assert caught.value.reason is Reason.AUTH
    return caught.value.detail


def test_inline_and_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_HERE", "abc\n")
    assert secrets.read(Secret("inline", "x y")) == "x y"
    assert secrets.read(Secret("env", "TOKEN_HERE")) == "abc"
    assert "TOKEN_GONE" in refusal(Secret("env", "TOKEN_GONE"))
    monkeypatch.setenv("TOKEN_HERE", "a\x1bb")
    assert "control character" in refusal(Secret("env", "TOKEN_HERE"))


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "token"
    secret = Secret("file", str(path))
    path.write_text("first\r\n")
    assert secrets.read(secret) == "first"
    path.write_text("other")
    os.utime(path, (1, 1))
    assert secrets.read(secret) == "other"
    fresh = tmp_path / "fresh"
    fresh.write_text("third")
    os.utime(fresh, (1, 1))  # same length, same time: another file all the same
    fresh.replace(path)
    assert secrets.read(secret) == "third"
    path.unlink()
    assert "No such file" in refusal(secret)


def test_an_unchanged_file_is_not_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    secret = Secret("file", str(path))
    assert secrets.read(secret) == "first"
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("opened again"))
    assert secrets.read(secret) == "first"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"s3cr3t\nline", "control"),
        (b"s3cr3t\0", "control"),
        (b"s3cr3t\xff", "UTF-8"),
        (b"s3cr3t" * 20000, "longer"),
    ],
)
def test_files_that_hold_no_secret(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    said = refusal(Secret("file", str(path)))
    assert says in said
    assert str(path) in said
    assert "s3cr3t" not in said


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert "regular" in refusal(Secret("file", str(tmp_path / "fifo")))
    assert "regular" in refusal(Secret("file", str(tmp_path)))


def test_headers() -> None:
    token = Secret("inline", "s3cr3t-value")
    assert auth.header_of(Bearer(token)) == ("Authorization", "Bearer s3cr3t-value")
    assert auth.header_of(Basic("Aladdin", Secret("inline", "open sesame"))) == (
        "Authorization",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
    )
    assert auth.header_of(HeaderAuth("X-API-Key", token)) == ("X-API-Key", "s3cr3t-value")


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("nothing here", "nothing here"),
        ("got s3cr3t-value, twice: s3cr3t-value!", "got <hidden>, twice: <hidden>!"),
        ("cut at s3cr3t-val", "cut at <hidden>"),
        ("cut at 's3cr3t-va...'", "cut at '<hidden>...'"),
        ("s3cr3t- is not enough to tell", "s3cr3t- is not enough to tell"),
    ],
)
def test_redaction(text: str, hidden: str) -> None:
    assert auth.redact(text, ["s3cr3t-value"]) == hidden


def test_redaction_of_every_form() -> None:
    values = auth.values_of(Basic("u", Secret("inline", 'a"b\\c-longer')))
    text = f'plain a"b\\c-longer, in JSON a\\"b\\\\c-longer, in a header {values[0]}'
    assert auth.redact(text, values) == "plain <hidden>, in JSON <hidden>, in a header <hidden>"
    assert auth.redact("short: abcd, too short: abc", ["abcd", "abc"]) == "short: <hidden>, too short: abc"
