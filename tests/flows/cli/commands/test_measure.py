"""`invae measure`: its help, and errors of one line."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from flows.cli.main import app, execute
from invae.storage import store
from invae.storage.provenance import Receipt


@pytest.fixture
def described(tmp_path):
    """A folder with described patches and no spectra."""
    rng = np.random.default_rng(0)
    y, x = np.indices((4, 4)).reshape(2, -1)
    patch = (("site", "channel", "patch_y", "patch_x"), rng.normal(size=(16, 1, 6, 6)))
    sites = xr.Dataset({"patch": patch}, {"y": ("site", y), "x": ("site", x)}, {"window": 6})
    receipt = Receipt("describe", "k" * 64, "scan", (), {}, {}, "", 0, "")
    target = tmp_path / "scan" / "descriptors.zarr"
    target.parent.mkdir()
    partial = store.begin(target, receipt.key)
    store.write_dataset(partial, sites)
    store.publish(partial, target, receipt)
    return target.parent


def test_the_help_has_examples():
    shown = CliRunner().invoke(app, ["measure", "--help"]).output
    assert "invae measure BEPS.h5 --config beps-search --instrument replay" in shown
    assert "--set search.target=offset" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--instrument", "telescope"], "instrument 'telescope' does not exist; give replay, simulated, folder:DIR"),
        ([], "replay needs measured spectra beside the patches"),
        (["--instrument", "simulated"], "has no truth to measure"),
        (["--set", "search.budgett=4"], "search.budgett: there is no such key"),
        (["--instrument", "replay", "--set", "search.surrogate=transfer"], "surrogate transfer needs model="),
    ],
)  # fmt: skip
def test_an_error_is_one_line(described, capsys, prefect_server, monkeypatch, words, message):
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    assert execute(["measure", str(described), *words]) == 1
    errors = capsys.readouterr().err
    (line,) = [line for line in errors.splitlines() if line.startswith("invae: ")]
    assert message in line
    assert "Traceback" not in errors
    assert not (described / "search" / "report").exists()
