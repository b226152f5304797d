"""The verdict at the end of `invae run`."""

from pathlib import Path

import pytest
import xarray as xr
from rich.console import Console

from flows.cli.commands.execute import _show_verdict
from invae.storage import store
from invae.verdict.findings import Finding, Verdict

FINDINGS = (
    Finding("few_sites", "green", "there are enough sites"),
    Finding("position", "amber", "content follows position", "92 %", "try [jrtVAE]"),
)


@pytest.mark.parametrize(
    ("attrs", "printed"),
    [
        (
            Verdict(FINDINGS).attrs(),
            "verdict: amber, use this result with care\namber: content follows position (92 %): try [jrtVAE]\n",
        ),
        ({}, ""),
    ],
)
def test_the_light_and_what_speaks_against_the_result_are_printed(
    tmp_path: Path, attrs, printed, capsys
):
    store.write_dataset(tmp_path / "result.zarr", xr.Dataset(attrs=attrs))
    _show_verdict(tmp_path, Console(width=200))
    assert capsys.readouterr().out == printed
