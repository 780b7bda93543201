"""What the site needs beside mkdocs.yml: a place for each decision and runbook, links that leave docs/, and quiet.

A link to a file that is no page, such as ../deploy/rules/, goes to the repository.
"""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)((?:#[^)]*)?\))")


def on_config(config: Any, /) -> Any:
    """Called by mkdocs with its config: pages of a folder that only grows are listed by themselves."""
    docs = Path(config.docs_dir)
    for title, folder in (("Runbooks", "runbooks"), ("Decisions", "adr")):
        config.nav.append({title: sorted(f"{folder}/{path.name}" for path in (docs / folder).glob("*.md"))})
    return config


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, files: Any) -> str:
    """Called by mkdocs with each page before it becomes HTML."""
    docs = Path(config.docs_dir).resolve()
    here = (docs / page.file.src_uri).parent

    def moved(match: re.Match[str]) -> str:
        path = (here / match[2]).resolve()
        if path.is_relative_to(docs):
            return match[0]
        return f"{match[1]}{config.repo_url}/blob/main/{path.relative_to(docs.parent)}{match[3]}"

    return _LINK.sub(moved, markdown)


def on_post_page(output: str, /, *, page: Any, config: Any) -> str:
    """Called by mkdocs with each page as HTML: the link to the repository asks nobody how many stars that has."""
    return output.replace(' data-md-component="source"', "")
