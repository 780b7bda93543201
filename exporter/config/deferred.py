"""Blocks that most configs do without: their models are imported and built when a config has one.

A model with its validator takes a millisecond or two and tens of KiB, and brings along what reads the block.
"""

from importlib import import_module
from typing import Any, cast

from pydantic import GetCoreSchemaHandler, ValidationInfo
from pydantic.annotated_handlers import GetJsonSchemaHandler
from pydantic_core import CoreSchema
from pydantic_core.core_schema import no_info_after_validator_function, with_info_plain_validator_function

from exporter.settings import Settings


class Deferred:
    """Marks the type of a field whose values are blocks of a model: `Annotated[Any, Deferred("module:Model")]`."""

    def __init__(self, where: str) -> None:
        self._where = where

    @property
    def model(self) -> type[Settings]:
        """The model; it is loaded by now or will be."""
        module, _, name = self._where.partition(":")
        return cast(type[Settings], getattr(import_module(module), name))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # What the model finds wrong is told as if it stood here: errors keep their places.
        return with_info_plain_validator_function(self._validated)

    def _validated(self, value: Any, info: ValidationInfo) -> Settings:
        return self.model.model_validate(value, context=info.context)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        # Within another schema it becomes one of the definitions, as it would without this.
        return handler(no_info_after_validator_function(lambda block: block, self.model.__pydantic_core_schema__))
