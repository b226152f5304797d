"""`invae info` of a result: conclusions first, then contents."""

import pytest

from flows.cli.main import execute
from invae import open_result
from invae.report.facts import sentences


@pytest.mark.parametrize("inside", ["", "result.zarr"])
def test_a_result_begins_with_the_sentences_of_its_report(undisturbed, capsys, inside):
    assert execute(["info", str(undisturbed.folder / inside)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert tuple(shown[:3]) == sentences(open_result(undisturbed.folder).groups)
    assert shown[3].startswith("  ")


def test_a_store_that_is_no_result_has_no_conclusions(undisturbed, capsys):
    store = undisturbed.folder / "recording.zarr"
    assert execute(["info", str(store)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == str(store)
