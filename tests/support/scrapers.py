"""Clients that scrape as fast as they are answered, each in a thread of its own."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.support.web import fetch


class Scrapers:
    """`look` gets the text of every scrape; what it or a scrape raises is raised when the block ends."""

    def __init__(self, url: str, count: int, look: Callable[[str], object]) -> None:
        self.scrapes = 0
        self.slowest = 0.0
        self._url = f"{url}/metrics"
        self._look = look
        self._over = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                answer = fetch(self._url, timeout=30)
                assert answer.status == 200, answer
                self._look(answer.body)
            except BaseException as error:
                self._errors.append(error)
                return
            self.scrapes += 1
            self.slowest = max(self.slowest, answer.seconds)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)
        if self._errors and error is None:
            raise self._errors[0]
