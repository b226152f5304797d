"""Kinds of models in the configuration, told apart by `kind`."""

import pytest

from invae.config import ModelConfig, ProcessConfig, named
from invae.errors import ConfigError


def test_a_model_without_kind_is_a_vae_and_is_written_as_before():
    config = ProcessConfig.model_validate({"model": {"family": "rVAE"}})
    assert isinstance(config.model, ModelConfig)
    assert config.model.kind == "vae"
    assert "kind" not in config.model_dump(mode="json")["model"]
    assert ProcessConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_model_may_name_its_kind():
    named_kind = ProcessConfig.model_validate({"model": {"kind": "vae", "family": "rVAE"}})
    assert named_kind == ProcessConfig.model_validate({"model": {"family": "rVAE"}})
    assert named.amended(named_kind, ["model.kind=vae", "model.latent_dim=3"]).model.latent_dim == 3


def test_an_unknown_kind_of_model_is_refused_with_the_kinds_there_are():
    with pytest.raises(ConfigError, match=r"config\.model: .*'gan'.*'vae'"):
        named.amended(ProcessConfig(), ["model.kind=gan"])


def test_another_kind_of_model_forgets_the_settings_of_a_vae():
    values = {"model": {"family": "rVAE", "latent_dim": 3}}
    assert named.changed(values, ["model.kind=gan"]) == {"model": {"kind": "gan"}}
    assert named.changed(values, ["model.kind=vae"])["model"]["latent_dim"] == 3
