"""The table of kinds of models, and which model belongs to which kind of recording."""

import pytest
from pydantic import ValidationError

from invae.config import ModelConfig, ProcessConfig, named
from invae.config.model_kinds import MODEL_KINDS, model_kind_of
from invae.config.pairs import PairsModelConfig
from invae.errors import ConfigError

PAIRS = {"describe": {"kind": "pairs"}, "model": {"kind": "pairs"}}


@pytest.mark.parametrize("name", MODEL_KINDS)
@pytest.mark.parametrize("stage", ["train", "embed", "analyse"])
def test_every_reference_of_a_row_leads_to_a_function(name, stage):
    assert callable(MODEL_KINDS[name].function(stage))


def test_settings_and_their_json_lead_to_the_same_row():
    for settings in (ModelConfig(), PairsModelConfig()):
        row = model_kind_of(settings)
        assert row.settings is type(settings)
        assert model_kind_of(settings.model_dump(mode="json")) is row
    assert model_kind_of({}) is MODEL_KINDS["vae"]


def test_a_vae_stays_the_default_and_is_written_without_its_kind():
    assert isinstance(ProcessConfig().model, ModelConfig)
    assert "kind" not in ProcessConfig().model_dump(mode="json")["model"]
    written = ProcessConfig.model_validate(PAIRS).model_dump(mode="json")
    assert ProcessConfig.model_validate(written).model == PairsModelConfig()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": {}}, "model.kind must be pairs"),
        ({"describe": {"kind": "images"}}, "describe.kind must be pairs"),
        (
            {"model": {"kind": "pairs", "family": "spec2im", "beta": 1, "process": False}},
            "model.process",
        ),
        ({"model": {"kind": "pears"}}, "'vae', 'pairs'"),
        ({"model": {"kind": "pairs", "n_members": 0, "process": False}}, "n_members"),
    ],
)
def test_what_does_not_fit_together_is_refused_in_one_line(change, words):
    with pytest.raises(ConfigError) as caught:
        named.checked(ProcessConfig, {**PAIRS, **change}, prefix="config")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValidationError):
        ProcessConfig.model_validate({**PAIRS, **change})
