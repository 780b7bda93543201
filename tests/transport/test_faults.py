import asyncio
import errno
import socket
import ssl
import zlib

import httptools
import pytest

from exporter.model.failure import Reason
from exporter.transport.faults import TABLE, Row, Stage, failure_of


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "because"
    return error


SSL_KINDS = (
    ssl.SSLError, ssl.SSLEOFError, ssl.SSLSyscallError, ssl.SSLZeroReturnError, ssl.SSLWantReadError,
    ssl.SSLWantWriteError,
)  # fmt: skip
PARSER_KINDS = (
    httptools.HttpParserError, httptools.HttpParserInvalidMethodError, httptools.HttpParserInvalidStatusError,
    httptools.HttpParserInvalidURLError,
)  # fmt: skip
SAMPLES: list[BaseException] = [
    *(OSError(number, "text") for number in sorted(errno.errorcode)),
    *(socket.gaierror(getattr(socket, name), "text") for name in dir(socket) if name.startswith("EAI_")),
    *(verification(code) for code in range(1, 96)),
    *(kind(1, "[SSL: SOMETHING] text") for kind in SSL_KINDS),
    *(kind("text") for kind in PARSER_KINDS),
    OSError("no errno at all"),
    ConnectionResetError("closed in the handshake"),
    TimeoutError(),
    UnicodeError("label too long"),
    UnicodeEncodeError("idna", "x", 0, 1, "label too long"),
    zlib.error("incorrect header check"),
]


def first(error: BaseException, stage: Stage) -> Row | None:
    return next((row for row in TABLE if row.matches(error, stage)), None)


@pytest.mark.parametrize("stage", Stage)
def test_everything_that_can_be_raised_has_a_row(stage: Stage) -> None:
    for error in SAMPLES:
        if isinstance(error, UnicodeError) and stage is not Stage.LOOKUP:
            continue  # only names are encoded
        failure = failure_of(error, stage)
        assert failure is not None, (error, stage)
        assert failure.reason is not Reason.INTERNAL
        assert failure.detail


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.kind.__name__}-{row.reason}")
def test_no_row_hides_another(row: Row) -> None:
    assert any(first(error, stage) is row for error in SAMPLES for stage in Stage)


@pytest.mark.parametrize(
    ("error", "stage", "reason"),
    [
        (OSError(errno.ECONNREFUSED, ""), Stage.CONNECT, Reason.CONNECT_REFUSED),
        (OSError(errno.ETIMEDOUT, ""), Stage.CONNECT, Reason.CONNECT_TIMEOUT),
        (OSError(errno.ECONNRESET, ""), Stage.CONNECT, Reason.RESET),
        (OSError(errno.EHOSTUNREACH, ""), Stage.CONNECT, Reason.CONNECT),
        (OSError(errno.ENETUNREACH, ""), Stage.CONNECT, Reason.CONNECT),
        (OSError(errno.ENOENT, ""), Stage.CONNECT, Reason.CONNECT),
        (OSError(errno.ECONNRESET, ""), Stage.HANDSHAKE, Reason.RESET),
        (ConnectionResetError(), Stage.HANDSHAKE, Reason.TLS),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), Stage.HANDSHAKE, Reason.TLS),
        (verification(10), Stage.HANDSHAKE, Reason.TLS_EXPIRED),
        (verification(62), Stage.HANDSHAKE, Reason.TLS_HOSTNAME),
        (verification(64), Stage.HANDSHAKE, Reason.TLS_HOSTNAME),
        *((verification(code), Stage.HANDSHAKE, Reason.TLS_UNTRUSTED) for code in (9, 18, 19, 20, 21, 23)),
        (OSError(errno.ECONNRESET, ""), Stage.EXCHANGE, Reason.RESET),
        (OSError(errno.EPIPE, ""), Stage.EXCHANGE, Reason.RESET),
        (OSError(errno.ETIMEDOUT, ""), Stage.EXCHANGE, Reason.TIMEOUT),
        (OSError(errno.EHOSTUNREACH, ""), Stage.EXCHANGE, Reason.RESET),
        (socket.gaierror(socket.EAI_NONAME, ""), Stage.LOOKUP, Reason.DNS),
        (zlib.error(), Stage.EXCHANGE, Reason.ENCODING),
    ],
)
def test_what_they_mean(error: BaseException, stage: Stage, reason: Reason) -> None:
    failure = failure_of(error, stage)
    assert failure is not None
    assert failure.reason is reason


@pytest.mark.parametrize("error", [KeyError("x"), asyncio.CancelledError(), RuntimeError("x"), MemoryError()])
@pytest.mark.parametrize("stage", Stage)
def test_a_bug_of_ours_is_no_fault_of_theirs(error: BaseException, stage: Stage) -> None:
    assert failure_of(error, stage) is None
