"""What servers tell of themselves and their models: the newest text and number by key, and how often each changed."""

from typing import TYPE_CHECKING

from exporter.ledger.records import counted
from exporter.model.observation import Observation

if TYPE_CHECKING:
    from exporter.ledger import TargetRecord

#: Sets of keys that were seen. Targets are much alike, so they share them.
_KEYS: dict[frozenset[str], frozenset[str]] = {}


def note(target: "TargetRecord", seen: Observation, *, canary: bool) -> bool:
    """Take what one run told. What is told for the first time is no change. True when any of it is news.

    A canary's word does not count on what its server tells by itself: that may name every version that is served, and
    an answer the one that it came from.
    """
    news = False
    for key, text in seen.info.items():
        described = key in target.described
        old = target.info.get(key)
        if old != text and not (canary and described):
            news = True
            target.info = {**target.info, key: text}
            if old is not None and (canary or described):
                target.metadata_changes = counted(target.metadata_changes, key)
    if not canary and not seen.info.keys() <= target.described:
        keys = target.described.union(seen.info)
        target.described = _KEYS.setdefault(keys, keys)
    for key, number in seen.facts.items():
        was = target.facts.get(key)
        if was != number:
            news = True
            target.facts = {**target.facts, key: number}
            if was is not None and was == was:
                target.metadata_changes = counted(target.metadata_changes, key)
    return news
