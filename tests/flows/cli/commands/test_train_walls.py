"""`invae train-walls`: networks in a folder, and how well they do."""

from flows.cli import terminal
from flows.cli.main import execute
from invae.segmentation.wall_finder import load_walls


def test_the_command_trains_members_calibrates_them_and_says_how_well_they_do(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(terminal, "VERBOSITY", terminal.Verbosity())
    monkeypatch.setattr("invae.segmentation.wall_calibration.N_FRAMES", 2)
    out = tmp_path / "walls"
    changes = [
        "width=4",
        "fine_width=2",
        "n_steps=2",
        "n_members=2",
        "batch_size=2",
        "images.size=32",
    ]
    sets = [word for change in changes for word in ("--set", change)]
    assert execute(["train-walls", "--out", str(out), *sets]) == 0
    assert capsys.readouterr().out.startswith(f"{out}: IoU of lamellae ")
    assert sorted(path.name for path in out.iterdir()) == ["walls.json", "walls.safetensors"]
    networks = load_walls(out)
    assert len(networks.members) == 2
    assert set(networks.calibration) == {"wall", "lamella"}
    assert all(len(coefficients) == 3 for coefficients in networks.calibration.values())


def test_a_range_that_descends_is_refused(tmp_path, capsys):
    out = tmp_path / "walls"
    assert execute(["train-walls", "--out", str(out), "--set", "images.snr=[9,3]"]) != 0
    assert "snr runs from 9 to 3" in capsys.readouterr().err
    assert not out.exists()
