"""Every check on numbers that are right and numbers that are wrong."""

import json
from dataclasses import replace

import pytest

from invae.verdict import checks
from invae.verdict.checks import verdict_on
from invae.verdict.symptoms import (
    ClassSymptoms,
    ForeignSymptoms,
    PositionSymptoms,
    Symptoms,
    symptoms_from,
)

CLASSES = ClassSymptoms(
    sizes=(240, 250, 260, 250),
    n_asked=4,
    between=0.95,
    pair=(0, 1),
    inside=0.4,
    split=2,
    neighbours=0.96,
)
POSITION = PositionSymptoms(spread=0.4, side=28, content=0.05, classes=0.02, remedy="jrtVAE")
FOREIGN = ForeignSymptoms(images=0.01, pixels=0.05, masked=False)
GOOD = Symptoms(
    n_training=1000,
    n_held_out=150,
    n_numbers=6,
    n_epochs=24,
    best_epoch=23,
    elbo_training=310.0,
    elbo_held_out=300.0,
    error_training=0.20,
    error_held_out=0.21,
    error_mean=0.9,
    error_pca=0.5,
    kl_content=(2.1, 1.4),
    noise_ratio=1.05,
    classes=CLASSES,
    position=POSITION,
    foreign=FOREIGN,
    undescribed=0.02,
)


def light_of(numbers: Symptoms, name: str) -> str:
    found = {finding.name: finding for finding in verdict_on(numbers).findings}
    return found[name].light


def with_classes(**changes: object) -> Symptoms:
    return replace(GOOD, classes=replace(CLASSES, **changes))


def test_good_numbers_are_green_in_every_check():
    verdict = verdict_on(GOOD)
    assert verdict.light == "green"
    assert len(verdict.findings) >= 9
    assert verdict_on(replace(GOOD, classes=None, position=None)).light == "green"


@pytest.mark.parametrize(
    ("numbers", "name", "light"),
    [
        (replace(GOOD, n_training=150), "few_sites", "amber"),
        (replace(GOOD, foreign=replace(FOREIGN, images=0.1)), "foreign", "amber"),
        (replace(GOOD, undescribed=0.2), "undescribed", "amber"),
        (replace(GOOD, undescribed=0.5), "undescribed", "red"),
        (replace(GOOD, foreign=replace(FOREIGN, images=0.5)), "foreign", "red"),
        (replace(GOOD, foreign=replace(FOREIGN, images=0.5, masked=True)), "foreign", "green"),
        (replace(GOOD, n_training=50), "few_sites", "red"),
        (with_classes(sizes=(600, 390, 10)), "few_sites", "amber"),
        (replace(GOOD, error_held_out=0.3), "overfitting", "amber"),
        (replace(GOOD, error_held_out=0.5), "overfitting", "red"),
        (replace(GOOD, error_held_out=0.24, best_epoch=4), "overfitting", "amber"),
        (replace(GOOD, error_held_out=None), "overfitting", "amber"),
        (replace(GOOD, kl_content=(2.0, 0.001)), "collapsed", "amber"),
        (replace(GOOD, kl_content=(0.0, 0.001)), "collapsed", "amber"),
        (replace(GOOD, kl_content=(0.0, 0.0), classes=None), "collapsed", "red"),
        (replace(GOOD, error_pca=0.2), "linear", "amber"),
        (replace(GOOD, error_held_out=0.95), "linear", "red"),
        (replace(GOOD, noise_ratio=2.25), "noise", "amber"),
        (with_classes(between=0.5), "classes_apart", "amber"),
        (with_classes(between=0.05), "classes_apart", "red"),
        (with_classes(between=0.2), "classes_apart", "amber"),
        (with_classes(between=0.2, neighbours=0.6), "classes_apart", "red"),
        (with_classes(between=0.2, neighbours=None), "classes_apart", "red"),
        (with_classes(between=0.05, labelled=True), "classes_apart", "amber"),
        (with_classes(between=0.05, continuum=True), "classes_apart", "amber"),
        (with_classes(inside=0.7), "classes_whole", "amber"),
        (with_classes(inside=0.95), "classes_whole", "red"),
        (with_classes(inside=0.95, labelled=True), "classes_whole", "amber"),
        (with_classes(neighbours=0.6), "neighbours", "amber"),
        (with_classes(n_asked=10), "surplus", "amber"),
        (with_classes(sizes=(500, 0, 500)), "empty", "amber"),
        (with_classes(between=None, inside=None), "classes", "amber"),
        (replace(GOOD, position=replace(POSITION, spread=3.0, content=0.8)), "position", "amber"),
        (replace(GOOD, position=replace(POSITION, spread=3.0, classes=0.8)), "position", "amber"),
        (replace(GOOD, position=replace(POSITION, content=0.8)), "position", "green"),
        (replace(GOOD, error_here=1.1), "other_recording", "green"),
        (replace(GOOD, error_here=1.6), "other_recording", "amber"),
        (replace(GOOD, error_here=3.0), "other_recording", "red"),
    ],
)
def test_a_wrong_number_is_found_by_its_check(numbers, name, light):
    assert light_of(numbers, name) == light


def test_findings_say_what_how_much_and_what_to_do():
    for numbers in (
        replace(GOOD, error_held_out=0.95, noise_ratio=9.0, kl_content=(0.0, 1.0), n_training=30),
        with_classes(between=0.1, inside=0.9, neighbours=0.2, n_asked=8, sizes=(900, 0, 100)),
        replace(GOOD, position=replace(POSITION, spread=3.0, content=0.8), error_here=5.0),
    ):
        concerns = verdict_on(numbers).concerns
        assert len(concerns) >= 2
        assert all(f.what and f.how_much and f.what_to_do for f in concerns)


def test_a_model_that_follows_position_names_the_family_with_shift():
    numbers = replace(GOOD, position=replace(POSITION, spread=3.0, content=0.8))
    (finding,) = verdict_on(numbers).concerns
    assert finding.what == "content follows position"
    assert finding.what_to_do == "try jrtVAE"


def test_a_model_of_before_is_not_known_and_amber():
    verdict = verdict_on(None)
    assert verdict.light == "amber"
    assert "not known" in verdict.findings[0].what


def test_every_finding_has_the_name_of_its_check_or_is_about_classes():
    names = {f.name for f in verdict_on(GOOD).findings}
    assert names <= {check.__name__ for check in checks.CHECKS}
    assert {*checks.ON_CLASSES} & names


def test_numbers_come_back_from_json_and_forget_what_they_do_not_know():
    card = json.loads(json.dumps(GOOD.card()))
    assert symptoms_from(card) == GOOD
    assert symptoms_from({**card, "of_later_versions": 1}) == GOOD
    with pytest.raises(TypeError):
        symptoms_from({"n_training": 3})
