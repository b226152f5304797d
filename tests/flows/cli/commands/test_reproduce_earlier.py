"""A result that an earlier commit of this version made is made again here, digest for digest."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.main import execute
from invae.stages import stages
from invae.storage.code_digest import imported_by

ROOT = Path(__file__).parents[4]
MOST_COMMITS = 40
STAGES = sorted(
    {
        f"{module.replace('.', '/')}.py"
        for name, stage in stages.STAGES.items()
        if name != "report"
        for module in imported_by(stage.module)
    }
)
"""Code that the values of a result depend on."""
SMALL = (
    "training.epochs=2",
    "describe.patches.window=16",
    "analyse.max_clusters=2",
    "analyse.traversal_steps=3",
    "report.dpi=50",
)


def git(*words: str) -> str:
    """What git says; nothing if it cannot say it."""
    try:
        answer = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return answer.stdout.strip() if answer.returncode == 0 else ""


@pytest.fixture
def earlier(tmp_path) -> Iterator[Path]:
    """A checkout of the newest commit of this version that has other code of a stage than this one."""
    version = git("rev-parse", "HEAD:invae/__init__.py")
    commits = git("rev-list", f"--max-count={MOST_COMMITS}", "HEAD", "--", *STAGES).splitlines()
    found = [
        commit
        for commit in commits
        if git("rev-parse", f"{commit}:invae/__init__.py") == version
        and git("diff", "--name-only", commit, "HEAD", "--", *STAGES)
    ]
    if not found:
        pytest.skip("no earlier commit of this version in the history of this checkout")
    place = tmp_path / "earlier"
    git("worktree", "add", "--detach", str(place), found[0])
    assert (place / "invae").is_dir()
    yield place
    git("worktree", "remove", "--force", str(place))


@pytest.mark.slow
def test_a_result_of_an_earlier_commit_of_this_version_is_identical(
    earlier, prefect_server, recording, tmp_path, capsys
):
    out = tmp_path / "results"
    settings = [word for change in SMALL for word in ("--set", change)]
    command = [sys.executable, "-m", "flows.cli.main", "run", str(recording), "--config", "demo"]
    subprocess.run(
        [*command, "--out", str(out), *settings],
        cwd=earlier,
        env={**os.environ, "PYTHONPATH": str(earlier), "PREFECT_API_URL": prefect_server},
        check=True,
    )
    code = execute(["reproduce", str(out / recording.stem)])
    captured = capsys.readouterr()
    assert code == 0, captured.out
    assert captured.out.startswith(f"{out / recording.stem}: identical (recording.zarr, ")
    assert "note: the code of " in captured.err
    assert "has changed since" in captured.err
