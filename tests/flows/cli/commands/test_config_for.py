"""The configuration of `invae run` without --config: that of the last run, else by what the file holds."""

import io
import json
from pathlib import Path

import numpy as np
from rich.console import Console

from flows.cli.commands.before_run import config_for

CUBE = np.random.default_rng(0).poisson(2.0, (4, 5, 16, 16)).astype(np.uint16)


def answer(file: Path, out: Path) -> tuple[str, str]:
    console = Console(file=io.StringIO(), width=300)
    name = config_for([file], out, name=None, changes=["ingest.scan_shape=[4,5]"], console=console)
    assert isinstance(console.file, io.StringIO)
    return name, console.file.getvalue()


def test_the_file_decides_at_first_and_the_last_run_afterwards(tmp_path):
    file, out = tmp_path / "scan.npy", tmp_path / "results"
    np.save(file, CUBE)
    name, words = answer(file, out)
    assert name == "fourd-rvae"
    assert (
        "scan.npy is 4D-STEM: configuration fourd-rvae; fourd-jrvae, fourd-nbed or fourd-vae"
        in words
    )
    (out / "scan").mkdir(parents=True)
    (out / "scan" / "run.json").write_text(json.dumps({"config": {"name": "fourd-vae"}}))
    name, words = answer(file, out)
    assert name == "fourd-vae"
    assert "configuration fourd-vae, as in the last run of scan.npy" in words
