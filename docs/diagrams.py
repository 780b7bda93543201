"""Draws the diagrams of the pages, light and dark, as files that need nothing else: `python docs/diagrams.py`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent / "pictures"

#: The picture has a ground of its own: it is readable on a page of either colour.
_STYLE = """\
text{font:15px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1e293b;text-anchor:middle;dominant-baseline:central}
.word{font-size:13px;fill:#475569}
.ground{fill:#f8fafc}
.box{fill:#fff;stroke:#64748b}
.ours{fill:#ccfbf1;stroke:#0f766e}
.room{fill:#e2e8f0;stroke:none}
.line{fill:none;stroke:#64748b;stroke-width:1.5}
.later{stroke-dasharray:5 4}
marker path{fill:#64748b}
@media(prefers-color-scheme:dark){
text{fill:#e2e8f0}
.word{fill:#a8b4c4}
.ground{fill:#0f172a}
.box{fill:#1e293b;stroke:#94a3b8}
.ours{fill:#134e4a;stroke:#2dd4bf}
.room{fill:#233044}
.line{stroke:#94a3b8}
marker path{fill:#94a3b8}
}"""

_ARROW = (
    '<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker>'
)


@dataclass(frozen=True)
class Box:
    """Words in a rectangle around a point. `kind` is `ours` (a part of the exporter) or `box` (anything else)."""

    x: int
    y: int
    words: str
    width: int = 120
    kind: str = "ours"

    @property
    def height(self) -> int:
        return 18 * (self.words.count("\n") + 1) + 20

    @property
    def top(self) -> tuple[int, int]:
        return self.x, self.y - self.height // 2

    @property
    def bottom(self) -> tuple[int, int]:
        return self.x, self.y + self.height // 2

    @property
    def left(self) -> tuple[int, int]:
        return self.x - self.width // 2, self.y

    @property
    def right(self) -> tuple[int, int]:
        return self.x + self.width // 2, self.y

    def drawn(self) -> Iterator[str]:
        (left, _), (_, top) = self.left, self.top
        yield (f'<rect class="{self.kind}" x="{left}" y="{top}" width="{self.width}" height="{self.height}" rx="6"/>')
        lines = self.words.split("\n")
        for place, line in enumerate(lines):
            yield f'<text x="{self.x}" y="{self.y + 18 * place - 9 * (len(lines) - 1)}">{escape(line)}</text>'


@dataclass(frozen=True)
class Line:
    """An arrow through points; `both`: with a head at each end; `later`: dashed."""

    points: tuple[tuple[int, int], ...]
    both: bool = False
    later: bool = False

    def drawn(self) -> Iterator[str]:
        way = "L".join(f"{x} {y}" for x, y in self.points)
        start = ' marker-start="url(#arrow)"' if self.both else ""
        yield f'<path class="line{" later" * self.later}" d="M{way}"{start} marker-end="url(#arrow)"/>'


@dataclass(frozen=True)
class Word:
    """Small words beside a line."""

    x: int
    y: int
    words: str

    def drawn(self) -> Iterator[str]:
        yield f'<text class="word" x="{self.x}" y="{self.y}">{escape(self.words)}</text>'


@dataclass(frozen=True)
class Room:
    """A ground behind boxes that belong together."""

    x: int
    y: int
    width: int
    height: int

    def drawn(self) -> Iterator[str]:
        yield f'<rect class="room" x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="10"/>'


Part = Box | Line | Word | Room


def picture(title: str, width: int, height: int, parts: Iterable[Part]) -> str:
    """The file of a diagram; what comes first lies below."""
    inner = "\n".join(line for part in parts for line in part.drawn())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img">\n<title>{escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n<defs>{_ARROW}</defs>\n'
        f'<rect class="ground" width="{width}" height="{height}" rx="12"/>\n{inner}\n</svg>\n'
    )


def house() -> str:
    """The parts, and what goes from one to the next."""
    one, two, three, four = 74, 238, 402, 566
    files = Box(one, 56, "YAML files", kind="box")
    lists = Box(two, 56, "files, HTTP, DNS,\nKubernetes, lists\nof servers", 140, "box")
    logs = Box(four, 56, "training logs", kind="box")
    config, discovery, training = Box(one, 140, "config"), Box(two, 140, "discovery"), Box(four, 140, "training")
    wheel, runner, verdict = Box(one, 240, "wheel"), Box(two, 240, "runner"), Box(three, 240, "verdict")
    sinks = Box(one, 340, "sinks")
    outside = Box(one, 434, "files, OTLP,\nwebhooks", kind="box")
    protocol, ledger = Box(two, 340, "protocol"), Box(three, 340, "ledger")
    transport, server = Box(two, 425, "transport"), Box(two, 516, "model server", kind="box")
    metrics, page = Box(three, 425, "/metrics"), Box(four, 434, "page, API,\ngate")
    scraper, people = Box(three, 516, "Prometheus", kind="box"), Box(four, 516, "people", kind="box")
    return picture(
        "The parts of the exporter, and what goes from one to the next",
        640,
        552,
        (
            Room(8, 200, 460, 80),
            *(files, lists, logs, config, discovery, training, wheel, runner, verdict, sinks, outside),
            *(protocol, ledger, transport, server, metrics, page, scraper, people),
            Word(440, 211, "engine"),
            Line((files.bottom, config.top)),
            Line((lists.bottom, discovery.top)),
            Line((discovery.left, config.right)),
            Line((config.bottom, wheel.top)),
            Word(95, 182, "jobs"),
            Line((wheel.right, runner.left)),
            Word(155, 229, "due"),
            Line((runner.right, verdict.left)),
            Word(319, 229, "result"),
            Line(((two - 40, runner.bottom[1]), (one + 30, sinks.top[1]))),
            Line((sinks.bottom, outside.top)),
            Line((runner.bottom, protocol.top), both=True),
            Word(261, 300, "asks"),
            Line((protocol.bottom, transport.top), both=True),
            Line((transport.bottom, server.top), both=True),
            Line((verdict.bottom, ledger.top)),
            Line((ledger.bottom, metrics.top)),
            Line(((three + 40, ledger.bottom[1]), (four - 20, page.top[1]))),
            Line((metrics.bottom, scraper.top)),
            Line((page.bottom, people.top)),
            Line((logs.bottom, training.top)),
            Line((training.bottom, (four, 340), ledger.right)),
        ),
    )


def evidence() -> str:
    """How runs become a state."""
    middle = 320
    run = Box(middle, 34, "a finished run of a probe", 230, "box")
    seen = Box(middle, 122, "one piece of evidence: ok, busy, loading,\nrefused, wrong, broken, slow, dead", 340)
    held = Box(middle, 222, "what the probe holds, until it is too old", 320)
    cheap = Box(112, 322, "cheap: the worst of\nhealth and ready", 190)
    canary = Box(middle, 322, "canary: the worst\nthat is current", 190)
    load = Box(514, 322, "load, read\nbeside the canary", 180, "box")
    table = Box(middle, 416, "the table below", 190)
    metadata = Box(112, 424, "metadata whose expect\ndoes not hold: healthy\nbecomes unhealthy", 202, "box")
    state = Box(middle, 506, "a state, with the reason of the run that decided", 390)
    return picture(
        "How finished runs become the state of a target",
        640,
        540,
        (
            *(run, seen, held, cheap, canary, load, table, metadata, state),
            Line((run.bottom, seen.top)),
            Word(372, 76, "its reason"),
            Line((seen.bottom, held.top)),
            Word(410, 174, "thresholds: runs in a row"),
            Line(((middle - 80, held.bottom[1]), (130, cheap.top[1]))),
            Word(128, 258, "health, ready"),
            Line((held.bottom, canary.top)),
            Word(376, 270, "infer, stream"),
            Line(((130, cheap.bottom[1]), (middle - 70, table.top[1]))),
            Line((canary.bottom, table.top)),
            Line(((510, load.bottom[1]), (middle + 70, table.top[1]))),
            Line((table.bottom, state.top)),
            Line(((130, metadata.bottom[1]), (middle - 130, state.top[1]))),
            Line((state.right, (626, 506), (626, 34), run.right), later=True),
            Word(536, 20, "a change runs others now"),
        ),
    )


PICTURES = {"house.svg": house, "evidence.svg": evidence}


def main() -> None:
    """Write them."""
    for name, draw in PICTURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
