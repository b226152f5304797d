"""The scoreboard: what counts as reached, what is kept, and that no validation card was ever trained on."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import scoreboard
from benchmarks.page import chapter, chapters_of, number, page, reached
from benchmarks.scoreboard import Run, chosen, results_of, run_here
from benchmarks.trial import Goal, Scores, Trial
from benchmarks.trials import TRIALS, cards, others, spoiled_cards

OURS = [trial for trial in TRIALS if not trial.peer]


def coin(trial: Trial, seed: int, quick: bool) -> Scores:
    return {"heads": 0.5 + seed / 10, "seconds": 1.0, "seconds_cpu": 1.0}


@pytest.fixture
def trial() -> Trial:
    goals = (Goal("heads", "share of heads", "0.5", 0.55, 0.5), Goal("heads", "in passing"))
    return Trial("coin", "a coin", coin, {"side": "both"}, goals)


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(scoreboard, "RESULTS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("values", "verdict"),
    [((0.99, 0.99), True), ((1, 0.96), False), ((0.98, 0.98), False), ((1, math.nan), False)],
)
def test_a_mark_asks_for_the_mean_and_for_the_worst(values, verdict):
    assert reached(Goal("a", "", "", 0.985, 0.97), values) is verdict


def test_a_cost_is_reached_from_above():
    cost = Goal("a", "", "", 5, 6, better="low")
    assert reached(cost, [4, 5.5])
    assert not reached(cost, [1, 7])
    assert not reached(cost, [6, 6])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.98765, "0.9877"), (64.32, "64.32"), (3210.4, "3210"), (math.nan, "never")],
)
def test_numbers_are_short(value, text):
    assert number(value) == text


def test_a_run_is_kept_and_another_seed_is_another_run(trial):
    runs = [Run(trial, seed, quick=False) for seed in range(3)]
    for run in runs[:2]:
        assert run.scores() is None
        run_here(run)
    assert [run.scores() is None for run in runs] == [False, False, True]
    assert results_of(runs)["coin"][1]["heads"] == 0.6


def test_a_kept_run_is_not_run_again(trial, kept):
    run = Run(trial, 0, quick=False)
    run_here(run)
    before = run.file.stat().st_mtime_ns
    assert scoreboard.run_apart(run)
    assert run.file.stat().st_mtime_ns == before
    assert len(list(kept.iterdir())) == 1


def test_every_trial_has_a_file_of_its_own():
    files = [Run(trial, 0, quick=True).file for trial in TRIALS]
    assert len({*files}) == len(TRIALS)


def test_other_settings_are_another_run(trial):
    other = replace(trial, settings={"side": "edge"})
    files = {Run(t, 0, quick=q).file for t in (trial, other) for q in (False, True)}
    assert len(files) == 4


def test_the_page_says_mean_worst_and_what_was_missed(trial):
    runs = [Run(trial, seed, quick=False) for seed in range(2)]
    assert "not run" in chapter("latents", [trial], results_of(runs))
    for run in runs:
        run_here(run)
    good = chapter("latents", [trial], results_of(runs))
    assert (
        "| a coin | share of heads | 0.5 | mean ≥ 0.55, worst ≥ 0.5 | 0.5500 | 0.5000 | 2 | **yes** |"
        in good
    )
    assert "1 of 1 goals are reached" in good
    strict = replace(trial, goals=(Goal("heads", "share of heads", "0.5", 0.9),))
    missed = chapter("latents", [strict], results_of(runs))
    assert "0 of 1 goals" in missed
    assert "share of heads: mean ≥ 0.9 is **not reached** (seeds 0.5000, 0.6000)" in missed
    for worst, verdict in ((0.55, "no"), (0.45, "**yes**")):
        alone = replace(trial, goals=(Goal("heads", "share of heads", "0.5", None, worst),))
        text = chapter("latents", [alone], results_of(runs))
        assert f"| worst ≥ {worst:g} | 0.5500 | 0.5000 | 2 | {verdict} |" in text


def test_one_chapter_is_written_anew_and_the_other_stays(trial, tmp_path, monkeypatch):
    other = replace(trial, name="scan", chapter="microscopy", words="a scan")
    monkeypatch.setattr(scoreboard, "TRIALS", (trial, other))
    for each in (trial, other):
        run_here(Run(each, 0, quick=False))
    path = tmp_path / "board.md"
    scoreboard.write(path, {"latents", "microscopy"}, quick=False, peers=True)
    first = chapters_of(path.read_text())
    assert page(first) == path.read_text()
    run_here(Run(other, 1, quick=False))
    scoreboard.write(path, {"microscopy"}, quick=False, peers=True)
    second = chapters_of(path.read_text())
    assert second["latents"] == first["latents"]
    assert (
        "| a scan | share of heads | 0.5 | mean ≥ 0.55, worst ≥ 0.5 | 0.5500 |"
        in second["microscopy"]
    )


def test_a_bar_in_a_word_is_no_new_cell(trial):
    odd = replace(trial, goals=(Goal("heads", "R² of |u|"),))
    run_here(Run(odd, 0, quick=False))
    assert "| a coin | R² of \\|u\\| | – |" in chapter(
        "latents", [odd], results_of([Run(odd, 0, quick=False)])
    )


def test_a_peer_stands_beside_ours_not_among_the_marks(trial):
    peer = replace(trial, name="other", peer="Other 1.0", peer_of="coin")
    runs = [Run(t, 0, quick=False) for t in (trial, peer)]
    for run in runs:
        run_here(run)
    text = chapter("latents", [trial, peer], results_of(runs))
    assert "Other 1.0: 0.5000" in text
    assert "of 1 goals" in text


def test_tasks_are_chosen_by_the_beginning_of_their_names():
    assert {trial.name for trial in chosen(["digits", "speed-until"])} > {
        "digits-avae",
        "speed-until",
    }
    assert chosen(None) == list(TRIALS)
    with pytest.raises(SystemExit, match="no task is called kards; choose one of cards-jrvae"):
        chosen(["kards"])


def test_names_are_unique_and_peers_stand_beside_something_of_ours():
    assert len({trial.name for trial in TRIALS}) == len(TRIALS)
    names = {trial.name: {goal.score for goal in trial.goals} for trial in OURS}
    for peer in (trial for trial in TRIALS if trial.peer):
        assert names[peer.peer_of] & {goal.score for goal in peer.goals}


def test_labelled_unlabelled_and_unseen_cards_have_factors_of_their_own():
    drawn = [
        cards.draw(cards.EASY, seed=seed, n_per_suit=50)["angle"].to_numpy()
        for seed in (0, cards.LABELLED, cards.UNSEEN, 1, cards.LABELLED + 1, cards.UNSEEN + 1)
    ]
    assert len(np.unique(np.concatenate(drawn))) == sum(map(len, drawn))


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_pose_of_a_peer_is_read_by_our_convention(mirrored):
    rng = np.random.default_rng(3)
    angle, true = rng.uniform(-np.pi, np.pi, 300), rng.normal(size=(300, 2))
    cos, sin = np.cos(angle), np.sin(angle)
    turned = [cos * true[:, 0] + sin * true[:, 1], cos * true[:, 1] - sin * true[:, 0]]
    told = np.stack([-turned[0], -turned[1]], axis=1)
    sign = -1 if mirrored else 1
    found = others._as_ours({"angle": sign * angle, "shift": told}, true, sign=sign)
    np.testing.assert_allclose(found["shift"], true)
    np.testing.assert_allclose(found["angle"], angle)


@pytest.mark.slow
@pytest.mark.parametrize(
    "trial", [t for t in OURS if not t.exclusive], ids=lambda trial: trial.name
)
def test_every_task_runs_and_gives_every_score_of_its_marks(trial, shared_data):
    found = trial.run(trial, 3, True)
    assert {goal.score for goal in trial.goals} <= found.keys()


def test_rows_of_a_task_without_results_stay(trial):
    results = {trial.name: [coin(trial, 0, quick=False)]}
    before = chapter("latents", [trial], results)
    again = chapter("latents", [trial], {}, before=before)
    assert again.splitlines()[:-3] == before.splitlines()[:-3]  # the last lines are the versions
    other = replace(trial, name="other", words="another task")
    both = chapter("latents", [trial, other], {}, before=before)
    assert both.count("0.5000") == before.count("0.5000") > 0
    assert "| another task |" in both
    assert "not run" in both


def test_what_peers_reached_by_an_earlier_page_stays_beside_new_results(trial):
    peer = replace(trial, name="peer", peer="Coin 1.0", peer_of=trial.name)
    results = {trial.name: [coin(trial, 0, quick=False)], "peer": [{"heads": 0.25}]}
    before = chapter("latents", [trial, peer], results)
    assert "Coin 1.0: 0.2500" in before
    alone = {trial.name: [coin(trial, 1, quick=False)]}
    again = chapter("latents", [trial, peer], alone, before=before)
    assert again.count("Coin 1.0: 0.2500") == before.count("Coin 1.0: 0.2500")
    assert "| 0.6000 |" in again


def test_a_peer_that_is_run_later_stands_beside_rows_of_an_earlier_page(trial):
    peers = [
        replace(trial, name=name, peer=f"{name} 1.0", peer_of=trial.name)
        for name in ("Coin", "Die")
    ]
    results = {trial.name: [coin(trial, 0, quick=False)], "Coin": [{"heads": 0.25}]}
    before = chapter("latents", [trial, *peers], results)
    again = chapter("latents", [trial, *peers], {"Die": [{"heads": 0.125}]}, before=before)
    assert "Coin 1.0: 0.2500<br>Die 1.0: 0.1250 |" in again
    changed = chapter("latents", [trial, *peers], {"Coin": [{"heads": 0.5}]}, before=again)
    assert "Coin 1.0: 0.5000<br>Die 1.0: 0.1250 |" in changed


def test_second_cards_lie_beside_every_second_card_and_their_pixels_are_known():
    setting = {**spoiled_cards.SETTINGS, "cards": {**spoiled_cards.CARDS, "n_per_suit": 5}}
    images, suit, second = spoiled_cards.spoiled({**setting, "spoil": "second object"}, seed=0)
    clean, same, none = spoiled_cards.spoiled({**setting, "spoil": "none"}, seed=0)
    assert none is None
    assert second is not None
    np.testing.assert_array_equal(suit, same)
    assert second[1::2].any((1, 2)).all()
    assert not second[::2].any()
    np.testing.assert_array_equal(images[~second] - clean[~second] > 0.1, False)
