"""Tables and live parts, on a terminal and elsewhere."""

import io

import pytest

from exporter.cli.sheet import Plain, Table, sheet

TABLE = Table(("probe", "total", "said"), [("health", "3 ms", ""), ("infer", "120 ms", "")], right=frozenset({"total"}))


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_text_is_aligned_and_has_no_trailing_blanks() -> None:
    file = io.StringIO()
    out = sheet(file)
    out.table(TABLE)
    out.pairs([("a", "first"), ("", "second"), ("long", "")])
    assert file.getvalue() == (
        "PROBE    TOTAL  SAID\nhealth    3 ms\ninfer   120 ms\n  a     first\n        second\n  long\n"
    )
    with out.live() as live:
        assert live is None


def test_columns_without_anything_are_left_out() -> None:
    assert TABLE.without_empty().columns == ["probe", "total"]
    assert TABLE.without_empty().rows == [["health", "3 ms"], ["infer", "120 ms"]]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_colour_and_no_line_beyond_its_width(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    out = sheet(screen)
    table = Table(("server", "state", "said"), [("zoe", "zombie", "no token " * 30)], wrap="said")
    out.table(table)
    assert screen.getvalue().count("token") == 30, "nothing may be cut from a table that stays"
    out.pairs([("name", "text " * 60)])
    with out.live() as live:
        assert live is not None
        live.update("title", table)
        live.text("one line")
    text = screen.getvalue()
    assert "\x1b[1;35mzombie" in text
    assert "one line" in text
    bare = [line for line in text.splitlines() if "\x1b" not in line]
    assert bare
    assert max(len(line) for line in bare) <= width


def test_markup_of_a_server_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Screen()
    sheet(screen).line("[red]not[/red] a colour :smile:")
    assert "[red]not[/red] a colour :smile:" in screen.getvalue()


def test_a_dumb_terminal_has_no_live_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with sheet(Screen()).live() as live:
        assert live is None


def test_without_rich_a_terminal_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "exporter.cli.terminal", None)
    assert isinstance(sheet(Screen()), Plain)
