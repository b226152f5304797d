"""What the pages name is there: modules, files, links, settings, commands, options, targets of make."""

import importlib
import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pytest
import typer.core
import typer.main
from pydantic import BaseModel

from flows.cli.main import app
from invae.config import ProcessConfig

ROOT = Path(__file__).parents[2]
FOLDERS = ("invae", "flows", "tasks", "tests", "docs", "deployments", "benchmarks", "examples")
HISTORY = "docs/changelog.md"
"""Says what was true once; only its links are looked at."""


def tracked() -> list[str]:
    """Files of the repository, also those that are not committed yet, without those that git ignores."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).exists()]


FILES = tracked()
PAGES = [name for name in FILES if name.endswith(".md") and not name.startswith("tests/")]
TEMPLATES = {"examples/cards.md": "docs"}
"""Pages that a program fills in and writes into another folder."""
CURRENT = [name for name in PAGES if name != HISTORY]
OF_THE_READER = re.compile(r"\b(stretch|my_physics|particles|myscope)\b")
"""Modules that a page tells its reader to write."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def quoted(page: str) -> Iterator[str]:
    """Words in backticks, outside of blocks of code."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"`([^`\n]+)`", prose)


def commands(page: str) -> Iterator[list[str]]:
    """Command lines in shell blocks and in backticks, as words."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```$", text_of(page), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    for line in [*lines, *quoted(page)]:
        for part in re.split(r"&&|;|\|", line):
            try:
                yield shlex.split(part, comments=True)
            except ValueError:  # an apostrophe of prose
                continue


def is_pattern(name: str) -> bool:
    return bool(re.search(r"[<>…{}*]|[A-Z]{4}", name))


def slug(heading: str) -> str:
    """The anchor that a heading gets on GitHub."""
    plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_pages_and_headings_that_are_there(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text_of(page)):
        path, _, anchor = link.partition("#")
        folder = ROOT / TEMPLATES.get(page, str(Path(page).parent))
        target = folder / path if path else ROOT / page
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{page} links to {link}"


@pytest.mark.parametrize("page", CURRENT)
def test_modules_and_their_members_are_there(page):
    dotted = rf"(?:{'|'.join(FOLDERS)})(?:\.\w+)+"
    names = [match for words in quoted(page) if (match := re.match(dotted, words))]
    named = {match[0] for match in names if not match.string.endswith((".zarr", ".md"))}
    named |= {words[2] for words in commands(page) if words[1:2] == ["-m"] and len(words) > 2}
    for module, members in re.findall(rf"^ *from ({dotted}) import (.+)$", text_of(page), re.M):
        named |= {f"{module}.{member.strip()}" for member in members.split(",")}
    for name in named:
        if re.fullmatch(dotted, name) and not OF_THE_READER.search(name):
            assert resolves(name), f"{page} names {name}"


def resolves(name: str) -> bool:
    """Whether a module, or a member of one, can be imported by its full name."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            thing: Any = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if error.name and name.startswith(error.name):
                continue
            raise
        for member in parts[n:]:
            if not hasattr(thing, member):
                return False
            thing = getattr(thing, member)
        return True
    return False


@pytest.mark.parametrize("page", CURRENT)
def test_files_and_folders_are_there(page):
    folders = {str(parent) for name in FILES for parent in Path(name).parents}
    known = {*FILES, *folders}
    for words in quoted(page):
        name = words.partition(" ")[0].rstrip("/")
        if is_pattern(words) or OF_THE_READER.search(name) or not re.fullmatch(r"[\w./@-]+", name):
            continue
        if name.split("/")[0] in FOLDERS and "/" in name:
            assert name in known, f"{page} names {name}"
        elif name.endswith(".py"):
            assert any(f"/{file}".endswith(f"/{name}") for file in FILES), f"{page} names {name}"


@cache
def settings() -> frozenset[str]:
    """Full names of all settings of a run, of every kind where there are several."""
    return frozenset(_settings(ProcessConfig, ""))


def _settings(annotation: Any, name: str) -> Iterator[str]:
    if get_origin(annotation) in {Annotated, Union, UnionType, tuple, list}:
        for part in get_args(annotation):
            yield from _settings(part, name)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for field, info in annotation.model_fields.items():
            inner = f"{name}.{field}".lstrip(".")
            yield inner
            yield from _settings(info.annotation, inner)


@pytest.mark.parametrize("page", CURRENT)
def test_settings_are_there(page):
    sections = "|".join(ProcessConfig.model_fields)
    for words in quoted(page):
        match = re.match(rf"(?:--set )?((?:{sections})(?:\.\w+)+)(?![\w./])", words)
        if match and not match[1].endswith((".zarr", ".json", ".yaml", ".py")):
            assert match[1] in settings(), f"{page} names {match[1]}"


@pytest.mark.parametrize("page", CURRENT)
def test_commands_and_options_of_invae_are_there(page):
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    context = group.context_class(group)
    for words in commands(page):
        if "invae" not in words[:6]:  # behind torchrun and its options
            continue
        rest = words[words.index("invae") + 1 :]
        name = next((word for word in rest if not word.startswith("-")), None)
        if name is None or is_pattern(name) or not re.fullmatch(r"[a-z-]+", name):
            continue
        command = group.get_command(context, name)
        assert command is not None, f"{page}: invae {name}"
        options = {
            option
            for param in [*command.params, *group.params]
            for option in (*param.opts, *param.secondary_opts)
        }
        if isinstance(command, typer.core.TyperGroup):
            inner = [command.get_command(context, n) for n in command.list_commands(context)]
            options |= {
                o
                for one in inner
                if one
                for param in one.params
                for o in (*param.opts, *param.secondary_opts)
            }
        asked = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert asked <= {*options, "--help"}, f"{page}: {' '.join(words)}"


@pytest.mark.parametrize("page", CURRENT)
def test_targets_of_make_are_there(page):
    targets = re.findall(r"^([\w-]+):", text_of("Makefile"), re.MULTILINE)
    for words in commands(page):
        if words[:1] == ["make"] and len(words) > 1 and re.fullmatch(r"[a-z-]+", words[1]):
            assert words[1] in {*targets, "-C"}, f"{page}: {' '.join(words)}"


def test_a_name_that_is_not_there_is_noticed():
    assert resolves("invae.storage.store.open_store")
    assert not resolves("invae.storage.store.open_shop")
    assert not resolves("invae.shop")
    assert "model.rotation.zero" in settings() or "model.poses.zero" in settings()
    assert "model.rotatoin.zero" not in settings()
    assert slug("How atoms are found, `find`") == "how-atoms-are-found-find"
