"""JUnit XML of an evaluation, for the test reports of pipelines."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from exporter.evaluation import Record
    from exporter.evaluation.ask import Asked
    from exporter.model.result import Result

#: What XML 1.0 has no way to write.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: Path, record: "Record", result: "Result") -> None:
    """One case for the score, which alone can fail, and one for each example; those that were not answered, or not
    wholly right, are skipped ones that say why. Raises OSError.
    """
    from exporter.model.failure import Status

    fields = record.fields
    name = f"{record.job.target.title}/{record.job.probe}"
    suite = ElementTree.Element("testsuite", name=_text(name), time=f"{fields['seconds']:.3f}")
    case = ElementTree.SubElement(suite, "testcase", classname=_text(name), name=_text(fields["metric"]))
    failed, wrong = result.status is Status.UNHEALTHY, result.status is Status.ERROR
    if failed or wrong:
        ElementTree.SubElement(case, "failure" if failed else "error", message=_text(result.detail))
    skipped = sum(_example(suite, name, each, right=record.right(each)) for each in record.asked)
    counts = {"tests": len(record.asked) + 1, "failures": int(failed), "errors": int(wrong), "skipped": skipped}
    suite.attrib.update({key: str(many) for key, many in counts.items()})
    root = ElementTree.Element("testsuites", {key: str(many) for key, many in counts.items()})
    root.append(suite)
    ElementTree.indent(root)
    path.write_bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _example(suite: ElementTree.Element, name: str, each: "Asked", *, right: bool) -> bool:
    case = ElementTree.SubElement(
        suite, "testcase", classname=_text(name), name=_text(each.example.id), time=f"{each.seconds or 0.0:.3f}"
    )
    if right:
        return False
    ElementTree.SubElement(case, "skipped", message=_text("; ".join(_why(each))))
    return True


def _why(each: "Asked") -> Iterable[str]:
    yield str(each.outcome) if each.worth is None else f"scored {each.worth:g}"
    if each.worth is not None:
        yield f"expected {each.wanted}, answered {each.shown}"
    if each.detail or each.reason is not None:
        yield f"{each.reason or ''} {each.detail}".strip()


def _text(text: str) -> str:
    return _UNWRITABLE.sub("\ufffd", text)
