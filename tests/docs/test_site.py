"""`make docs`: the pages make a site without a broken link."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ggmlkit as gk
from paths import ROOT

pytestmark = pytest.mark.xdist_group("site")  # which one process builds once


def built(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """What mkdocs says as `make docs` calls it; the site goes to `folder`."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    words = re.search(r"-m (mkdocs build.*)", makefile)
    assert words is not None
    command = [sys.executable, "-m", *words[1].split(), "--site-dir", str(folder), *options]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built as strictly as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    done = built(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    config = tmp_path / "mkdocs.yml"
    config.write_text("site_name: a\ndocs_dir: pages\n")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text("[a](#a) [b](nothing.md)\n\n# a\n")
    done = built(tmp_path / "site", "--config-file", str(config))
    assert done.returncode == 1, done.stdout + done.stderr
    (warning,) = re.findall("^WARNING.*", done.stderr, re.MULTILINE)  # of one link alone
    assert "'nothing.md'" in warning


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r'<(?:a|img)\b[^>]*?(?:href|src)="([^"]+)"', page.read_text("utf-8")):
        yield html.unescape(target)


def test_every_link_leads_to_a_page_and_its_heading(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 15
    named = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text("utf-8"))) for page in pages}
    for page in pages:
        if page.name == "404.html":
            continue
        for target in links(page):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            if there.is_dir():
                there /= "index.html"
            assert there.exists(), (page, target)
            if anchor and not anchor.startswith("__"):
                assert anchor in named[there], (page, target)


def test_a_test_is_shown_by_its_path(site: Path) -> None:
    page = (site / "formats" / "index.html").read_text("utf-8")
    assert re.search(r'<span title="tests/io/gguf/test_split.py: \w+">✔</span>', page)
    assert "../tests/" not in page


def test_every_public_name_is_described(site: Path) -> None:
    page = (site / "api" / "index.html").read_text("utf-8")
    for name in gk.__all__:
        thing = getattr(gk, name)
        if hasattr(thing, "__qualname__"):
            assert f'id="{thing.__module__}.{thing.__qualname__}"' in page, name


def test_every_page_is_in_the_navigation(site: Path) -> None:
    start = (site / "index.html").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f'href="{page.stem}/"' in start, page.name
