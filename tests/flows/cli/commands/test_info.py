"""`invae info` of a result: conclusions first, then contents."""

import pytest

from flows.cli.main import execute
from invae import open_result
from invae.report.facts import headline


@pytest.mark.parametrize("inside", ["", "result.zarr"])
def test_a_result_begins_with_its_headline_and_verdict(undisturbed, capsys, inside):
    assert execute(["info", str(undisturbed.folder / inside)]) == 0
    first, second, *others = capsys.readouterr().out.splitlines()
    result = open_result(undisturbed.folder)
    assert first == headline(result.groups)
    assert second == next(iter(result.verdict.lines()))
    assert any(line.startswith("  model: ") for line in others)


def test_a_store_that_is_no_result_has_no_conclusions(undisturbed, capsys):
    store = undisturbed.folder / "recording.zarr"
    assert execute(["info", str(store)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(store)
