"""What the site needs beside mkdocs.yml: a place for each decision and runbook, and links that leave docs/.

A link to a file that is no page, such as ../deploy/rules/, goes to the repository.
"""

import re
from pathlib import Path
from typing import Any

_LINK = re.compile(r"(\]\()((?:\.\./)+[^)#\s]+)((?:#[^)]*)?\))")


def on_config(config: Any, /) -> Any:
    """mkdocs calls this with its config: pages of a folder that only grows are listed by themselves."""
    docs = Path(config.docs_dir)
    for title, folder in (("Runbooks", "runbooks"), ("Decisions", "adr")):
        config.nav.append({title: sorted(f"{folder}/{path.name}" for path in (docs / folder).glob("*.md"))})
    return config


def on_page_markdown(markdown: str, /, *, page: Any, config: Any, files: Any) -> str:
    """mkdocs calls this with each page before it becomes HTML."""
    docs = Path(config.docs_dir).resolve()
    here = (docs / page.file.src_uri).parent

    def moved(match: re.Match[str]) -> str:
        path = (here / match[2]).resolve()
        if path.is_relative_to(docs):
            return match[0]
        return f"{match[1]}{config.repo_url}/blob/main/{path.relative_to(docs.parent)}{match[3]}"

    return _LINK.sub(moved, markdown)
