"""The pages about families: every block runs as it stands, every family has its page, every link and picture is there."""

import re
from pathlib import Path

import pytest

from invae.config.family import families
from tests.docs.blocks import DOCS, python_blocks

PAGES = sorted((DOCS / "families").glob("*.md"))
LARGEST = 60_000
"""Bytes of a picture."""


def names(page: Path) -> set[str]:
    return set(re.findall(r"[\w-]*VAE\b|\bAE\b", page.read_text("utf-8")))


def test_every_family_has_a_page():
    pages = set.union(*(names(page) for page in PAGES if page.name != "index.md"))
    unsaid = {name for name in families() if name not in pages}
    assert unsaid == {"sstVAE", "ssrtVAE", "ssregtVAE", "ssregrtVAE"}, "… stands for these alone"


def test_no_page_names_a_family_that_is_not_there():
    said = {name for page in PAGES for name in names(page)}
    assert said - set(families()) <= {
        "shift-VAE",
        "trVAE",
        "jtrVAE",
        "-VAE",
        "D-VAE",
        "InvariantVAE",
    }


@pytest.mark.parametrize("page", [p for p in PAGES if python_blocks(p)], ids=lambda p: p.stem)
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known: dict[str, object] = {}
    for block in python_blocks(page):
        exec(compile(block, str(page), "exec"), known)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_links_and_pictures_are_there(page):
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
        assert (page.parent / target).is_file(), f"{page.name} links to {target}"


def test_every_model_named_for_users_of_other_packages_can_be_made():
    page = (DOCS / "coming-from-atomai-and-pyroved.md").read_text("utf-8")
    made = set(re.findall(r"InvariantVAE\(\"([\w-]+)\"", page))
    assert len(made) > 10
    assert made <= set(families())


def test_pictures_are_small_and_shown():
    shown = {
        target
        for page in PAGES
        for target in re.findall(r"!\[[^\]]*\]\(images/([^)]+)\)", page.read_text("utf-8"))
    }
    pictures = list((DOCS / "families" / "images").glob("*.png"))
    assert {picture.name for picture in pictures} == shown
    assert all(picture.stat().st_size <= LARGEST for picture in pictures)


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "index.md"], ids=lambda p: p.stem)
def test_a_page_says_what_is_assumed_when_to_use_it_and_when_it_fails(page):
    text = page.read_text("utf-8")
    assert "ssumes" in text or "assume" in text
    assert re.search(r"\*\*(Use|It fails)", text)
