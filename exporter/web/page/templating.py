"""Templates into answers, a little at a time: an exporter whose page nobody opens pays nothing for it."""

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from aiohttp import web

from exporter import __version__
from exporter.slices import unhurried

if TYPE_CHECKING:
    from jinja2 import Environment, Template


async def page(name: str, values: Mapping[str, Any], status: int = 200) -> web.Response:
    """The page that a template and its values make."""
    return web.Response(status=status, text=await written(name, values), content_type="text/html")


async def written(name: str, values: Mapping[str, Any]) -> str:
    """The same as text."""
    template = await asyncio.to_thread(_template, name)
    return "".join([piece async for piece in unhurried(template.generate(values))])


@cache
def _template(name: str) -> "Template":
    return _environment().get_template(name)


@cache
def _environment() -> "Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("exporter.web.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": __version__, "quote": lambda text: quote(text, safe="")}
    return environment
