"""Paths of requests: the target's own path is a prefix of the API's, and what the two share is not said twice."""

from urllib.parse import quote


def join(base: str, route: str, query: str = "") -> str:
    """The path of `route` (such as `/v1/models`) below a URL path, with the URL's own query.

    A base that already ends in the route's first segment keeps it: `/openai/v1` + `/v1/models` is `/openai/v1/models`.
    """
    base = base.rstrip("/")
    first = "/" + route.lstrip("/").partition("/")[0]
    if first != "/" and (base == first or base.endswith(first)):
        base = base[: -len(first)]
    return with_query(f"{base}{route}" or "/", query)


def beside(base: str, route: str, query: str = "") -> str:
    """The path of a route that stands beside the API below `/v1`, such as `/health`, with the URL's own query."""
    return with_query(base.removesuffix("/v1") + route, query)


def with_query(path: str, query: str) -> str:
    """A path and a query (without `?`), each of which may be empty; a query the path has already comes first."""
    if not query:
        return path
    return f"{path}{'&' if '?' in path else '?'}{query}"


def segment(name: str) -> str:
    """A name as one path segment: everything that could end or split it is escaped."""
    return quote(name, safe="")
