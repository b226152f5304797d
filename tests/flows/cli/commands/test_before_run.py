"""What `invae run` checks, says and asks before anything starts."""

import io
import re
import shutil
import sys
from contextlib import AbstractContextManager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from rich.console import Console

from flows.cli.commands import before_run, expected_time
from flows.cli.main import execute
from flows.service import server
from invae.config import named
from invae.stages import stages

STAGES = tuple(stages.STAGES)


class Terminal(io.StringIO):
    """A person who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_server(monkeypatch):
    def refuse(say: object) -> AbstractContextManager[str]:
        raise AssertionError("a server was started")

    monkeypatch.setattr(server, "prefect_api", refuse)


@pytest.fixture
def movie(tmp_path):
    file = tmp_path / "movie.npy"
    np.save(file, np.random.default_rng(0).normal(size=(3, 32, 32)).astype(np.float32))
    return file


@pytest.mark.usefixtures("no_server")
def test_a_disk_that_cannot_hold_the_recording_is_refused(movie, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=10))
    arguments = ["run", str(movie), "--config", "cards-rvae", "--out", str(tmp_path / "out")]
    assert execute(arguments) == 1
    assert "free some space, or give another --out" in capsys.readouterr().err


@pytest.mark.usefixtures("no_server")
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_missing_gpu_is_refused_however_it_is_asked_for(movie, tmp_path, capsys):
    options = ["--config", "cards-rvae", "--out", str(tmp_path / "out")]
    for more in (["--device", "cuda"], ["--set", "compute.device=cuda"]):
        assert execute(["run", str(movie), *options, *more]) == 1
        assert "PyTorch finds no CUDA device here" in capsys.readouterr().err


def test_an_equal_recording_takes_about_as_long_as_the_earlier_run(undisturbed):
    config, sizes = undisturbed.config, {"frame": 8, "y": 64, "x": 64}
    recorded = before_run.read_record(undisturbed.folder)["stages"]
    seconds = sum(recorded[name]["seconds"] for name in STAGES)
    n_bytes = sum(source.n_bytes for source in stages.sources_of([undisturbed.source]))
    new = undisturbed.out / "new"
    words = expected_time.expected_time(new, config, STAGES, sizes, n_bytes)
    low, high = map(int, re.findall(r"\d+", words)[:2])
    assert low < seconds < high
    assert words.endswith("from 1 earlier run with demo")
    longer = expected_time.expected_time(new, config, STAGES, sizes, 100 * n_bytes)
    assert "min" in longer or " h" in longer


def test_without_an_earlier_run_measured_rates_give_a_range(tmp_path):
    config = named.load("fourd-rvae")

    def words(n: int) -> str:
        sizes = {"scan_y": n, "scan_x": n, "k_y": 64, "k_x": 64}
        return expected_time.expected_time(tmp_path / "scan", config, STAGES, sizes, 1000)

    assert "measured on two processor cores" in words(24)
    assert re.match(r"\d+ (s )?to \d+ min", words(24))
    assert re.match(r"[\d.]+ (min )?to [\d.]+ h", words(256))


@pytest.mark.parametrize(
    ("config", "sizes", "n_sites"),
    [
        ("fourd-rvae", {"scan_y": 4, "scan_x": 5, "k_y": 9, "k_x": 9}, (20, 20)),
        ("spectra-vae", {"y": 6, "x": 7, "energy": 100}, (42, 42)),
        ("spectra-vae", {"point": 11, "voltage": 100}, (11, 11)),
        ("cards-rvae", {"frame": 300, "y": 48, "x": 48}, (300, 300)),
        ("stem-atoms", {"frame": 1, "y": 300, "x": 300}, (180, 3000)),
    ],
)
def test_the_number_of_sites_follows_from_the_kind_of_recording(config, sizes, n_sites):
    assert expected_time.sites_in(sizes, named.load(config)) == n_sites


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (40, 90, "40 to 90 s"),
        (50, 300, "50 s to 5 min"),
        (7200, 9000, "2.0 to 2.5 h"),
        (5, 5, "5 s"),
    ],
)
def test_a_range_of_times_is_short(low, high, words):
    assert expected_time.time_range(low, high) == words


def test_a_person_is_asked_before_a_finished_result_is_replaced(undisturbed, monkeypatch, capsys):
    due, config = ["train", "embed", "analyse", "report"], undisturbed.config
    other = named.amended(config, ["training.epochs=4"])
    monkeypatch.setattr(sys, "stdin", Terminal("y\nn\n"))
    before_run.ask_to_replace(undisturbed.folder, other, due)
    with pytest.raises(typer.Abort):
        before_run.ask_to_replace(undisturbed.folder, other, due)
    asked = capsys.readouterr().err
    assert asked.count("holds a finished result of demo@2") == 2
    assert "It stays in versions/. Replace it?" in asked


def test_scripts_new_recordings_and_new_reports_are_not_asked(undisturbed, monkeypatch, tmp_path):
    config = undisturbed.config
    before_run.ask_to_replace(undisturbed.folder, config, ["analyse", "report"])  # no terminal
    monkeypatch.setattr(sys, "stdin", Terminal())  # an answer would raise: there is none
    before_run.ask_to_replace(undisturbed.folder, config, ["report"])
    before_run.ask_to_replace(tmp_path, config, list(STAGES))


def test_the_time_is_printed(movie, tmp_path):
    console = Console(file=io.StringIO(), width=300)
    config, folder = named.load("cards-rvae"), tmp_path / "out" / "movie"
    before_run.check([movie], folder, config, due=STAGES, console=console)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith("note: expected time: ")
