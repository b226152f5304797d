"""The command line: help with examples, results on standard output, errors in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer.main

from flows.cli import terminal
from flows.cli.main import app, execute
from invae import __version__

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, tmp_path):
    monkeypatch.setattr(terminal, "VERBOSITY", terminal.Verbosity())
    monkeypatch.chdir(tmp_path)


def refused(capsys, *arguments: str) -> str:
    """The error line of a refused command line."""
    assert execute(list(arguments)) not in (0, None)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1, captured.err
    return lines[0]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(name, capsys):
    inner = getattr(COMMANDS[name], "commands", None)
    for words in [[name, sub] for sub in inner] if inner else [[name]]:
        assert execute([*words, "--help"]) == 0
        assert f"invae {' '.join(words)}" in capsys.readouterr().out.partition("example")[2]


def test_the_version_needs_no_command(capsys):
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nothing.h5"], "nothing.h5 does not exist; check the path"),
        (["run"], "Missing"),
        (["run", "x", "--confg", "y"], "No such option: --confg"),
        (["run", "x", "--device", "gpu"], "'gpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["run", "x", "--workers", "0"], "--workers"),
        (["run", "x", "--config", "pfm-wals"], "did you mean pfm-walls?"),
        (["run", "x", "--set", "training.epoch=2"], "did you mean training.epochs?"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["describe", "--out", "empty"], "empty holds no recording; make one with"),
        (["info", "nothing"], "nothing does not exist"),
        (["export", "nothing", "--to", "csv"], "nothing does not exist"),
        (["simulate", "domains", "--out", "d.zarr", "--set", "n_frame=3"], "did you mean n_frames?"),
    ],
)  # fmt: skip
def test_an_error_is_one_line(capsys, tmp_path, arguments, message):
    assert message in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir()), "no file is left"


def test_a_name_outside_the_folder_is_refused(capsys, tmp_path):
    np.save("scan.npy", np.zeros((8, 8)))
    assert "not usable as a folder" in refused(capsys, "run", "scan.npy", "--name", "../up")
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npy"]


def test_a_broken_recording_is_refused_and_leaves_nothing_visible(capsys, tmp_path):
    Path("broken.ibw").write_bytes(b"not a wave")
    assert "broken.ibw" in refused(capsys, "ingest", "broken.ibw", "--out", "results")
    assert not [p for p in (tmp_path / "results").iterdir() if not p.name.startswith(".")]


def test_an_output_folder_that_cannot_be_created_is_named(capsys):
    np.save("scan.npy", np.zeros((8, 8)))
    assert "scan.npy" in refused(capsys, "ingest", "scan.npy", "--out", "scan.npy")


def test_a_store_does_not_replace_other_files(capsys):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("do not lose this")
    line = refused(capsys, "simulate", "domains", "--out", "mine")
    assert "mine exists and was not made by invae" in line
    assert Path("mine/notes.txt").exists()


def test_a_bug_is_one_line_too():
    code = (
        "import sys\nfrom flows.cli import main as cli\n"
        "cli.execute = lambda arguments: 1 / 0\nsys.argv = ['invae']\ncli.main()"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 1
    assert answer.stderr == (
        "invae: unexpected ZeroDivisionError: division by zero; "
        "run it again with --debug and report it\n"
    )


def test_debug_shows_the_traceback(capsys):
    from invae.errors import InvaeError

    with pytest.raises(InvaeError):
        execute(["run", "nothing.h5", "--debug"])


def test_configurations_and_formats_are_listed(capsys):
    assert execute(["configs"]) == 0
    assert "pfm-walls@2" in capsys.readouterr().out
    assert execute(["configs", "demo"]) == 0
    assert "name: demo" in capsys.readouterr().out
    assert execute(["formats"]) == 0
    assert ".ibw" in capsys.readouterr().out


def test_a_simulation_is_made_once(capsys):
    command = ["simulate", "domains", "--out", "d.zarr", "--set", "rows=32", "--set", "columns=32"]
    assert execute([*command, "--set", "n_frames=2", "--seed", "3"]) == 0
    assert capsys.readouterr().out == "d.zarr\n"
    made = Path("d.zarr/zarr.json").stat().st_mtime_ns
    assert execute([*command, "--set", "n_frames=2", "--seed", "3"]) == 0
    assert "unchanged" in capsys.readouterr().err
    assert Path("d.zarr/zarr.json").stat().st_mtime_ns == made


def test_single_stages_work_on_the_stores_of_the_recording(capsys):
    rng = np.random.default_rng(5)
    for number in (9, 10):
        np.save(f"scan_{number}.npy", rng.normal(size=(16, 16)).astype(np.float32))
    Path("series").mkdir()
    for number in (9, 10):
        os.rename(f"scan_{number}.npy", f"series/scan_{number}.npy")
    assert execute(["ingest", "series", "--out", "results"]) == 0
    assert capsys.readouterr().out == "results/scan_9-10/recording.zarr\n"
    record = json.loads(Path("results/scan_9-10/run.json").read_text())
    assert record["sources"] == ["scan_9.npy", "scan_10.npy"]
    assert execute(["ingest", "series", "--out", "results"]) == 0
    assert "unchanged" in capsys.readouterr().err
    assert execute(["info", "results/scan_9-10/recording.zarr"]) == 0
    assert "frame 2" in capsys.readouterr().out


def test_another_kind_is_refused_before_it_is_ingested_and_when_it_is_described(capsys):
    amplitude, phase = np.random.default_rng(2).normal(size=(2, 16, 16))
    np.savez("pfm.npz", amplitude=amplitude, phase=phase)
    said = refused(capsys, "ingest", "pfm.npz", "--config", "stem-atoms")
    assert "pfm.npz: stem-atoms needs an image; this is PFM: try " in said
    assert not any(path for path in Path("results").iterdir() if not path.name.startswith("."))
    assert execute(["ingest", "pfm.npz"]) == 0, "without a configuration every recording is taken"
    capsys.readouterr()
    said = refused(capsys, "describe", "--config", "fourd-rvae")
    assert "pfm: fourd-rvae needs a 4D-STEM scan; this is PFM: try " in said


def test_another_file_of_the_same_name_does_not_replace_results(capsys):
    for folder, value in (("a", 1.0), ("b", 2.0)):
        Path(folder).mkdir()
        np.save(f"{folder}/scan.npy", np.arange(64.0).reshape(8, 8) * value)
    assert execute(["ingest", "a/scan.npy"]) == 0
    capsys.readouterr()
    assert "results of another recording" in refused(capsys, "ingest", "b/scan.npy")
    np.save("a/scan.npy", np.arange(64.0).reshape(8, 8) * 3)
    assert execute(["ingest", "a/scan.npy"]) == 0, "a changed file is ingested again"
