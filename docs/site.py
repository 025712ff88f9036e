"""Hooks of mkdocs (mkdocs.yml): pages that lie outside docs/, the API's names, links between them.

Pages link to each other, and to tests and sources, by their paths in the repository, so that the
links work there. In the site a link to a page leads to that page. Any other file of the repository
has no page: the text stays, and shows the path when pointed at.
"""

from __future__ import annotations

import html
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

import ggmlkit

ROOT = Path(__file__).parents[1]
_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
_API = "api.md"
# Headings of the API's page, and the parts of ggmlkit whose names are under them.
_SUBJECTS = {
    "Tensors and products": (),  # of every part that is not named below
    "Files": ("io",),
    "Looking into files": ("inspection",),
    "Converting": ("conversion",),
    "Quantizing files": ("quantization",),
    "Models": ("engine", "text"),
    "Quality": ("evaluation",),
    "Errors and warnings": ("errors",),
}
_NAMED = {part for parts in _SUBJECTS.values() for part in parts}
_DOCS = "docs/"
_LINK = re.compile(
    r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)"
)
_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_URL = re.compile(r"[a-z]+:")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs/, and the one of the API."""
    for path, uri in outside().items():
        if uri in files.src_uris:
            files.remove(files.src_uris[uri])
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    files.append(File.generated(config, _API, content=api_page()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links by paths in the repository become links between pages."""
    uri = page.file.src_uri
    path = {uri: path for path, uri in outside().items()}.get(uri, f"{_DOCS}{uri}")
    return linked(markdown, path)


def outside() -> dict[str, str]:
    """Pages and pictures from outside docs/: path in the repository, path in the site."""
    results = sorted(ROOT.glob("benchmarks/**/RESULTS.md")) + sorted(
        ROOT.glob("benchmarks/**/*.png")
    )
    same = (path.relative_to(ROOT).as_posix() for path in results)
    return {**_PAGES, **{path: path for path in same}}


def linked(markdown: str, path: str) -> str:
    """The page at `path` of the repository, its links those of the site."""
    pieces = _FENCED.split(markdown)
    pieces[::2] = [_LINK.sub(lambda match: _relinked(match, path), piece) for piece in pieces[::2]]
    return "".join(pieces)


def _relinked(match: re.Match[str], path: str) -> str:
    target = match["target"]
    if _URL.match(target):
        return match[0]
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    there = _place(wanted)
    if there is not None:
        here = posixpath.dirname(_place(path) or "")
        relative = posixpath.relpath(there, here or ".")
        return f"{match['picture']}[{match['text']}]({relative}{match['anchor'] or ''})"
    if not (ROOT / wanted).exists():
        return match[0]  # which mkdocs reports
    title = html.escape(wanted + (match["anchor"] or "").replace("#", ": "))
    return f'<span title="{title}">{match["text"]}</span>'


def _place(path: str) -> str | None:
    """Where the site has a file of the repository; None where it has it not."""
    if path.startswith(_DOCS) and not path.endswith(".py"):
        return path.removeprefix(_DOCS)
    return outside().get(path)


def api_page() -> str:
    """A directive for each public name of the package, by subject."""
    lines = ["# Classes and functions", "", "All that `import ggmlkit as gk` has, by subject.", ""]
    things = {name: getattr(ggmlkit, name) for name in ggmlkit.__all__}
    parts = ggmlkit.evaluation
    things |= {f"evaluation.{name}": getattr(parts, name) for name in parts.__all__}
    documented = {name: thing for name, thing in things.items() if hasattr(thing, "__qualname__")}
    for subject, packages in _SUBJECTS.items():
        lines += [f"## {subject}", ""]
        for name, thing in documented.items():
            if (_package(thing) in packages) or (not packages and _package(thing) not in _NAMED):
                lines += [
                    f"::: {thing.__module__}.{thing.__qualname__}",
                    f"    options: {{heading: {name}, toc_label: {name}}}",
                    "",
                ]
    return "\n".join(lines)


def _package(thing: Any) -> str:
    """The part of ggmlkit that defines it, such as `io`; `errors` for any error or warning."""
    if isinstance(thing, type) and issubclass(thing, Exception):
        return "errors"
    return str(thing.__module__).split(".")[1]
