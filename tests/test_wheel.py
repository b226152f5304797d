"""The wheel, installed into a fresh environment, runs the demo."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import invae

ROOT = Path(__file__).parents[1]
BARE = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/"), "OMP_NUM_THREADS": "1"}
"""Nothing of the checkout, and no other environment."""


def call(*words: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    pip = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    command = [str(word) for word in words]
    done = subprocess.run(
        command, cwd=cwd, env=BARE | pip, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    """`invae` of a fresh environment, with the versions of the lock."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    call(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("invae-*.whl")
    call(sys.executable, "-m", "venv", folder / "environment")
    python = folder / "environment" / "bin" / "python"
    lock = ["--constraint", str(ROOT / "requirements.lock")]
    call(python, "-m", "pip", "--quiet", "install", *lock, wheel)
    return python.parent / "invae"


@pytest.mark.slow
def test_the_demo_runs_from_the_wheel(program, tmp_path):
    assert call(program, "--version").strip() == invae.__version__
    small = ["--set", "training.epochs=2"]
    page = Path(call(program, "demo", "--out", "demo", *small, cwd=tmp_path).splitlines()[-1])
    assert (tmp_path / page).is_file()
    assert "pfm-walls@" in call(program, "configs", cwd=tmp_path)
