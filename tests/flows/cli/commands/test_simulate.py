"""`invae simulate` for sets of pictures: made once, and in one line if something is wrong."""

import struct
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from flows.cli import terminal
from flows.cli.main import execute
from invae.stages.compare import digest_of
from invae.storage import store
from invae.storage.location import as_path

FRAMES = [
    *("--set", "imaging.n_frames=20"),
    *("--set", "imaging.rows=16"),
    *("--set", "imaging.columns=16"),
]
SETS = {
    "cards": ["--set", "n_per_suit=5", "--set", "size=16"],
    "shifts": ["--set", "n_signals=20"],
    "digits": ["--from", "images", "--labels", "labels", "--set", "shift=0.1"],
    "graphene": ["--set", "n_scan_y=20", "--set", "n_scan_x=2", "--set", "n_k=8"],
    "graphene movie": ["--movie", *FRAMES],
    "atoms": FRAMES,
    "lattice": FRAMES,
    "plasmons": ["--set", "sample.kind=clusters", "--set", "sample.n_clusters=20"],
}
KNOWN = {
    "cards": "suit",
    "shifts": "position",
    "digits": "digit",
    "graphene": "orbit",
    "graphene movie": "occupied",
    "atoms": "foreign",
    "lattice": "u",
    "plasmons": "plasma_energy",
}
"""A variable of the truth of every set."""


@pytest.fixture(autouse=True)
def _quiet(monkeypatch, tmp_path):
    monkeypatch.setattr(terminal, "VERBOSITY", terminal.Verbosity())
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (20, 12, 12), np.uint8)
    Path("images").write_bytes(struct.pack(">4i", 2051, *images.shape) + images.tobytes())
    Path("labels").write_bytes(struct.pack(">2i", 2049, 20) + bytes(range(10)) * 2)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_made_once_with_its_truth(name, capsys):
    command = ["simulate", name.split()[0], "--out", "set.zarr", "--seed", "3", *SETS[name]]
    assert execute(command) == 0
    assert capsys.readouterr().out == "set.zarr\n"
    made = Path("set.zarr/zarr.json").stat().st_mtime_ns
    made_of = store.open_store("set.zarr")
    assert (made_of["pattern"] if name == "graphene" else made_of["image"]).shape[0] == 20
    truth = store.open_store("set.zarr", group="truth")
    assert KNOWN[name] in truth
    assert execute(command) == 0
    assert "unchanged" in capsys.readouterr().err
    assert Path("set.zarr/zarr.json").stat().st_mtime_ns == made
    assert execute([*command, "--seed", "4"]) == 0
    assert "unchanged" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cards", "--set", "angel=3"], "cards.angel: there is no such key; did you mean angle?"),
        (["cards", "--set", "angle=200"], "cards.angle"),
        (["graphene", "--set", "k_max=20"], "k_max 20 mrad must exceed convergence 30 mrad"),
        (["graphene", "--movie", "--set", "dose=20"], "graphene.dose: there is no such key"),
        (["atoms", "--set", "elements=[Mo,S2]"], "a hexagonal lattice has one sublattice"),
        (["lattice", "--set", "cell=0"], "lattice.cell"),
        (["plasmons", "--set", "sample.pitch=20"], "it must be at least 22 nm"),
        (["plasmons", "--set", "sample.n_clusters=9"], "plasmons.sample.n_clusters: there is no"),
        (["shifts", "--set", "width=[3,1]"], "width runs from 3 to 1"),
        (["digits", "--from", "labels"], "begins with 2049"),
        (["digits", "--from", "images", "--labels", "images"], "labels begins with 2049"),
        (["digits", "--from", "nothing"], "nothing cannot be read: No such file"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, capsys):
    assert execute(["simulate", *arguments, "--out", "set.zarr"]) not in (0, None)
    lines = capsys.readouterr().err.strip().splitlines()
    assert message in lines[-1]
    assert sum(line.startswith("invae:") for line in lines) == 1
    assert not Path("set.zarr").exists()


@pytest.mark.parametrize("name", ["cards", "digits"])
def test_a_set_is_made_by_url_with_the_values_that_it_has_in_a_folder(name, s3_bucket, capsys):
    before = set(Path().iterdir())
    made = f"s3://{s3_bucket}/{uuid4().hex}/set.zarr"
    command = ["simulate", name, *SETS[name], "--out"]
    assert execute([*command, made]) == 0
    assert capsys.readouterr().out == f"{made}\n"
    assert set(Path().iterdir()) == before
    assert execute([*command, "set.zarr"]) == 0
    assert execute([*command, made]) == 0
    assert "unchanged" in capsys.readouterr().err
    assert digest_of(as_path(made)) == digest_of(Path("set.zarr"))
