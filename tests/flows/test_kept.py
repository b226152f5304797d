"""Results of other settings are kept as a version; nothing is asked, and the same settings keep nothing."""

import json
import shutil
from pathlib import Path

import pytest

from flows.cli.main import execute
from flows.process import process
from invae.config import ProcessConfig
from invae.stages import kept, stages
from invae.stages.compare import digest_of
from invae.storage import store

ALL = [stage.output for stage in stages.STAGES.values()]


@pytest.fixture
def copy(undisturbed, tmp_path) -> Path:
    """The folder of the finished recording, to be changed."""
    shutil.copytree(undisturbed.out, tmp_path / "results")
    return tmp_path / "results" / undisturbed.folder.name


def changed(config: ProcessConfig, section: str, **settings: object) -> ProcessConfig:
    values = config.model_dump(mode="json")
    values[section] |= settings
    return ProcessConfig.model_validate(values)


def versions_in(folder: Path) -> list[Path]:
    return sorted((folder.parent / "versions").glob("*/*"))


def outputs_in(folder: Path) -> list[str]:
    return [output for output in ALL if (folder / output).exists()]


@pytest.mark.slow
def test_a_model_and_its_results_are_kept_before_others_replace_them(undisturbed, copy):
    old = {output: digest_of(copy / output) for output in ALL[:-1]}
    page = (copy / "report" / "index.html").read_bytes()
    training = changed(undisturbed.config, "training", epochs=2)
    process([str(undisturbed.source)], str(copy.parent), training)
    assert digest_of(copy / "model") != old["model"]
    (version,) = versions_in(copy)
    assert version.parent.name.startswith("demo@")
    assert outputs_in(version) == ALL
    assert {output: digest_of(version / output) for output in old} == old
    assert (version / "report" / "index.html").read_bytes() == page
    record = json.loads((version / "run.json").read_text())
    assert record["config"]["training"]["epochs"] == 3
    assert list(record["stages"]) == list(stages.STAGES)
    process([str(undisturbed.source)], str(copy.parent), training)
    assert versions_in(copy) == [version], "the same settings keep nothing"
    process([str(undisturbed.source)], str(copy.parent), undisturbed.config)
    assert digest_of(copy / "model") == old["model"]
    back = [*versions_in(copy)]
    process([str(undisturbed.source)], str(copy.parent), training)
    assert versions_in(copy) == back, "a version that is kept is not kept again"
    assert len(back) == 2


@pytest.mark.slow
def test_a_single_stage_keeps_what_follows_from_it_and_says_where(copy, capsys):
    words = ["--out", str(copy.parent), "--name", copy.name]
    assert execute(["report", *words]) == 0
    assert versions_in(copy) == []
    assert execute(["report", *words, "--set", "report.dpi=60"]) == 0
    (version,) = versions_in(copy)
    assert outputs_in(version) == ALL
    assert f"results of other settings are kept in {version}" in " ".join(
        capsys.readouterr().err.split()
    )


def test_what_is_made_anew_with_the_same_settings_is_not_kept(undisturbed, copy):
    shutil.rmtree(copy / "embedding.zarr")
    assert kept.to_keep(copy, "embed", undisturbed.config) == {}


def test_outputs_of_an_interrupted_run_are_kept_without_those_before_it(undisturbed, copy):
    """The model is new, the embedding and the result are not yet: only what belongs to the model is kept with it."""
    training = changed(undisturbed.config, "training", epochs=2)
    words = ["--out", str(copy.parent), "--name", copy.name]
    assert execute(["train", *words, "--set", "training.epochs=2"]) == 0
    (first,) = versions_in(copy)
    outputs = kept.to_keep(copy, "train", changed(training, "training", epochs=1))
    assert list(outputs) == ["ingest", "describe", "train"]
    assert outputs_in(first) == ALL


def test_a_model_from_elsewhere_is_kept_before_an_own_one_replaces_it(undisturbed, copy, tmp_path):
    shutil.copytree(copy / "model", tmp_path / "models" / "walls")
    receipt = store.read_receipt(tmp_path / "models" / "walls")
    assert receipt is not None
    outputs = kept.to_keep(copy.rename(copy.with_name("other")), "train", undisturbed.config)
    assert outputs["train"].key == receipt.key, "a model of another recording is not one's own"
