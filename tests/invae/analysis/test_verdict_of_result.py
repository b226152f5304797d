"""The verdict in a result: attributes, summary, votes, withheld probabilities, another recording."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from invae import results
from invae.analysis import verdict as judge
from invae.config import ReportConfig
from invae.report import class_sheets, style
from invae.report.page import page
from invae.results.contents import info
from invae.storage import store
from invae.training.model_folder import load_start, load_symptoms
from invae.verdict.checks import ON_CLASSES, verdict_on
from invae.verdict.findings import LIGHTS, Verdict, verdict_in
from tests.invae.report.read_page import Page


def told(result: xr.Dataset) -> Verdict:
    """The verdict in the attributes of a result that has one."""
    verdict = verdict_in(result.attrs)
    assert verdict is not None
    return verdict


@pytest.fixture(scope="module")
def groups(card_run):
    return {k: v.load() for k, v in results.open_result(card_run.store("analyse")).items()}


@pytest.fixture(scope="module")
def sites(card_run):
    return store.open_store(card_run.store("embed")).load()


def test_a_result_carries_the_verdict_on_its_model(card_run, groups):
    verdict = told(groups[""])
    assert verdict == verdict_on(load_symptoms(card_run.store("train")))
    assert groups[""].attrs["verdict"] == verdict.light == "red"  # two epochs have taught nothing
    assert LIGHTS[int(groups["summary"]["verdict"])] == "red"
    assert int(groups["summary"]["n_concerns"]) == len(verdict.concerns) > 0
    assert "  verdict: red, do not believe this result" in info(card_run.store("analyse"))


def test_the_vote_is_known_for_the_sites_of_the_model_without_classes(card_run, groups):
    start = load_start(card_run.store("train"))
    vote = groups[""]["class_vote"].to_numpy()
    assert start is not None
    known = np.isfinite(vote).all(1)
    np.testing.assert_array_equal(np.flatnonzero(known), start.sites)
    np.testing.assert_allclose(vote[known].sum(1), 1, rtol=1e-5)
    assert np.isnan(vote[~known]).all()


def test_a_model_of_before_is_not_known(card_run, sites, tmp_path):
    result = judge.judged(tmp_path, sites)
    assert result.attrs["verdict"] == "amber"
    assert result.attrs["findings"][0]["name"] == "unknown"
    assert "class_vote" not in result


def test_a_recording_that_the_model_describes_worse_is_red(card_run, sites):
    held_out = xr.ones_like(sites["held_out"])
    other = sites.assign_coords(held_out=held_out)
    other["reconstruction_error"] = 5 * sites["reconstruction_error"]
    verdict = judge.verdict_of(card_run.store("train"), other)
    assert verdict.light_of("other_recording") == "red"
    assert "other_recording" not in {
        f.name for f in judge.verdict_of(card_run.store("train"), sites).findings
    }
    assert "class_vote" not in judge.judged(card_run.store("train"), other)


@pytest.mark.parametrize(("between", "withheld"), [(0.05, 1), (0.95, 0)])
def test_probabilities_are_withheld_where_the_verdict_on_the_classes_is_red(
    card_run, sites, groups, monkeypatch, between, withheld
):
    numbers = load_symptoms(card_run.store("train"))
    assert numbers is not None
    assert numbers.classes is not None
    classes = replace(numbers.classes, between=between, pair=(0, 1), inside=0.0, split=None)
    monkeypatch.setattr(judge, "load_symptoms", lambda model: replace(numbers, classes=classes))
    result = judge.judged(card_run.store("train"), sites)
    assert result["class_probability"].attrs["withheld"] == withheld
    assert (told(result).light_of(*ON_CLASSES) == "red") == bool(withheld)
    shown = {**groups, "": groups[""].assign(class_probability=result["class_probability"])}
    with style.applied(50):
        drawing = class_sheets.probability(shown, ReportConfig(dpi=50))
    assert ("withheld" in drawing.numbers) == bool(withheld)
    assert "% of the neighbours are in the class of a site" in drawing.numbers


def test_the_page_begins_with_the_verdict_and_all_findings(card_run, groups):
    receipts = [card_run.receipt("analyse"), card_run.receipt("report")]
    text = page(groups, {}, [], title="cards", receipts=receipts)
    shown, verdict = Page(text).text, told(groups[""])
    assert '<section id="verdict" class="verdict red">' in text
    assert shown.count("Verdict: red") == shown.count("Do not believe this result") == 1
    assert shown.count(verdict.concerns[0].what) == 1
    for finding in verdict.findings:
        assert finding.what in shown
        assert finding.how_much in shown
    assert text.index('id="verdict"') < text.index('class="facts"')


def test_a_page_of_a_result_of_before_has_no_verdict(card_run, groups):
    root = groups[""].copy()
    root.attrs = {k: v for k, v in root.attrs.items() if k not in ("verdict", "findings")}
    receipts = [card_run.receipt("analyse"), card_run.receipt("report")]
    text = page({**groups, "": root}, {}, [], title="cards", receipts=receipts)
    assert 'id="verdict"' not in text
