"""What the pages of docs/ claim about the code is looked up."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(\w+) ([\w.-]+)( untried)?$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([^)\s]+))?\)")
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def anchors(page: Path) -> set[str]:
    """As a rendered page has them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = page.parent / path if path else page
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_every_snippet_of_the_page_about_deploying_is_tried_or_says_that_it_is_not() -> None:
    page = (ROOT / "docs/deploy.md").read_text()
    trying = (ROOT / "tests/attacks/test_deploy_docs.py").read_text()
    tried = set(re.findall(r'snippet\("(\w+)", "([\w.-]+)"\)', trying))
    snippets = FENCE.findall(page)
    assert len(snippets) == page.count("\n```") / 2, "each has a language and a name"
    assert {(language, name) for language, name, untried in snippets if not untried} <= tried
    assert tried <= {(language, name) for language, name, _ in snippets}


def test_every_promise_about_security_names_tests_that_exist() -> None:
    page = (ROOT / "docs/security.md").read_text()
    promised = page.partition("## What is not promised")[0].partition("## What is promised")[2]
    rows = [line for line in promised.splitlines() if line.startswith("| ") and not line.startswith("| promise ")]
    assert len(rows) > 40
    assert [row for row in rows if not TEST.search(row)] == []
    assert [f"{path}::{name}" for path, name in TEST.findall(promised) if not is_there(ROOT / path, name)] == []


def is_there(path: Path, name: str) -> bool:
    return path.is_file() and (
        not name or re.search(rf"^(async )?def {name}\(", path.read_text(), re.MULTILINE) is not None
    )


def test_what_snippets_import_from_the_service_is_there() -> None:
    """The snippets themselves are tried apart from the suite (make test-attacks)."""
    texts = [page.read_text() for page in PAGES]
    imports = [found for text in texts for found in re.findall(r"from (service[\w.]*) import (\w+)", text)]
    assert imports
    for module, name in imports:
        assert hasattr(importlib.import_module(module), name), (module, name)
