"""Verdicts as objects: the worst light counts, words are kept, attributes come back."""

import json

import pytest

from invae.errors import StoreError
from invae.verdict.findings import Finding, Verdict, verdict_in

GOOD = Finding("few_sites", "green", "there are enough sites", "900 training sites")
CARE = Finding("linear", "amber", "PCA does as well", "0.3 against 0.3", "use PCA")
BAD = Finding("classes_apart", "red", "classes 1 and 2 are not apart", "0.10", "ask for fewer")


@pytest.mark.parametrize(
    ("findings", "light"),
    [((), "green"), ((GOOD,), "green"), ((GOOD, CARE), "amber"), ((CARE, BAD, GOOD), "red")],
)
def test_the_light_is_the_worst_of_the_findings(findings, light):
    assert Verdict(findings).light == light


def test_the_lines_name_what_how_much_and_what_to_do_the_worst_first():
    assert Verdict((GOOD, CARE, BAD)).lines() == [
        "verdict: red, do not believe this result",
        "red: classes 1 and 2 are not apart (0.10): ask for fewer",
        "amber: PCA does as well (0.3 against 0.3): use PCA",
    ]


def test_a_light_of_some_checks_ignores_the_others():
    verdict = Verdict((GOOD, CARE, BAD))
    assert verdict.light_of("linear", "few_sites") == "amber"
    assert verdict.light_of("position") == "green"


def test_attributes_are_json_and_give_the_same_verdict_again():
    verdict = Verdict((GOOD, CARE))
    attrs = json.loads(json.dumps(verdict.attrs()))
    assert attrs["verdict"] == "amber"
    assert verdict_in(attrs) == verdict


def test_results_of_before_have_no_verdict():
    assert verdict_in({"verdict": "spectra follow from the image"}) is None
    assert verdict_in({}) is None


@pytest.mark.parametrize("findings", [[{"name": "a"}], [{**vars(GOOD), "light": "blue"}]])
def test_findings_that_cannot_be_read_are_refused(findings):
    with pytest.raises(StoreError, match="run `invae analyse` again"):
        verdict_in({"findings": findings})
