"""What documents point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(page for pattern in ("*.md", "docs/**/*.md", "loadtest/*.md") for page in ROOT.glob(pattern))
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def links(page):
    """Return what `page` links to on our side: paths with anchors."""
    found = re.findall(r"\]\(([^()\s]+)\)", FENCED.sub("", page.read_text(encoding="utf-8")))
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page):
    """Return the anchors that GitHub makes of the headings of `page`."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_for_operators_and_users_can_be_found_from_the_first():
    named = {(ROOT / link.partition("#")[0]).resolve() for link in links(ROOT / "README.md")}

    assert set((ROOT / "docs").glob("*.md")) <= named
