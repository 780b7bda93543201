"""What a client asks: one model behind one url, under a protocol that is named or found out."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from exporter import protocols
from exporter.client.line import Question
from exporter.model.job import Kind
from exporter.protocols.family import Canary
from exporter.settings import Settings
from exporter.url import Address

AUTO = "auto"

Value = TypeVar("Value")


class NotOffered(NotImplementedError):
    """The protocol has no such question. The message names those it has."""


class Server:
    """Builds questions. Everything that is wrong with what it is given is a ValueError that says what, and where."""

    def __init__(self, address: Address, protocol: str, model: str, options: Mapping[str, Any]) -> None:
        if protocol not in protocols.NAMES:
            raise ValueError(f"unknown protocol {protocol!r}; known: {', '.join(protocols.NAMES)}")
        self._class = protocols.load(protocol)
        if address.scheme not in self._class.schemes:
            allowed = ", ".join(sorted(self._class.schemes))
            raise ValueError(f"the protocol {protocol} does not go over {address.scheme}; allowed: {allowed}")
        if options and protocol == AUTO:
            raise ValueError(f"{', '.join(options)}: depends on the protocol, which auto does not know yet: name it")
        self.protocol = protocol
        self._address = address
        self._model = model
        self._options = _settings(self._class.options, options, protocol)

    @property
    def offers(self) -> tuple[Kind, ...]:
        """What can be asked."""
        return tuple(self._class.kinds)

    def question(self, kind: Kind, settings: Mapping[str, Any]) -> Question:
        """One question, ready to be asked. Raises NotOffered."""
        model = self._class.kinds.get(kind)
        if model is None:
            offered = ", ".join(each for each in self.offers if not each.internal)
            raise NotOffered(f"the protocol {self.protocol} offers no {kind}; it offers {offered}")
        asked = _settings(model, settings, f"{self.protocol} {kind}")
        instance = self._class(
            model=self._model,
            path=self._address.path,
            query=self._address.query,
            settings=asked.as_written() if isinstance(asked, Canary) else asked,
            options=self._options,
            scheme=self._address.scheme,
            # Whoever asks a model by hand means it.
            wake=True,
        )
        problems = [f"{_written(path)}: {message}" for path, message in instance.problems(kind)]
        if problems:
            raise ValueError(f"{self.protocol} {kind}: {'; '.join(problems)}")
        return Question(getattr(instance, kind.value), instance.within(), instance.imports())


def read(kind: Any, value: Any, what: str) -> Any:
    """A value as settings read it. Raises a ValueError that names `what` and never quotes a secret."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise ValueError(_said(error, what, ())) from None


def _settings(model: type[Settings], given: Mapping[str, Any], what: str) -> Settings:
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        known = [field.alias or name for name, field in model.model_fields.items()]
        raise ValueError(_said(error, what, known)) from None


def _said(error: ValidationError, what: str, known: Sequence[str]) -> str:
    said = []
    for each in error.errors(include_url=False, include_input=False):
        place = _written(each["loc"])
        message = each["msg"]
        if each["type"] == "extra_forbidden":
            message = "unknown"
            if len(each["loc"]) == 1:
                message += f"; it takes {', '.join(known) or 'none'}"
        said.append(f"{place}: {message}" if place else message)
    return f"{what}: {'; '.join(said)}"


def _written(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))
