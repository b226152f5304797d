"""The version is the same everywhere, and the files for contributors name programs that are there."""

import re
from pathlib import Path

import pytest
import yaml

import invae

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def test_the_changelog_begins_with_this_version_and_the_date_of_the_citation():
    newest = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "docs/changelog.md").read_text(), re.M)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert newest
    assert newest[1] == citation["version"] == invae.__version__
    assert newest[2] == str(citation["date-released"])


def test_images_carry_this_version():
    for name in ("Containerfile", "compose.yaml"):
        tags = re.findall(r"\binvae:(\d[\w.]*)", (ROOT / "deployments" / name).read_text("utf-8"))
        assert set(tags) == {invae.__version__}


def test_every_target_of_make_says_what_it_does():
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))
    explained = set(re.findall(r"^([a-z-]+):.*## \S", MAKEFILE, re.M))
    phony = set(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.M)[0].split())
    assert targets == explained == phony


def test_the_public_ci_runs_what_the_readme_says():
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text("utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert ".ci/run" in {step.get("run") for step in steps}
    assert "make test" in (ROOT / ".ci/run").read_text("utf-8")


def test_hooks_run_tools_of_the_lock():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    for hook in hooks["repos"][0]["hooks"]:
        tool = Path(hook["entry"].split()[0]).name
        assert tool == "python" or f"\n{tool}==" in lock


@pytest.mark.parametrize("package", ["invae", "tasks", "flows"])
def test_type_checkers_may_read_the_annotations(package):
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("name", ["bug.yml", "feature.yml"])
def test_forms_of_issues_have_fields_with_names(name):
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE" / name).read_text("utf-8"))
    assert {"name", "description", "body"} <= set(form)
    names = [field["id"] for field in form["body"]]
    assert len(names) == len(set(names))
    assert all(field["attributes"]["label"] for field in form["body"])
