"""One row per kind of model: its settings, and where the functions of its stages are.

The stages train, embed and analyse ask this table. A row names a function as "module:name", which is imported when it is used; the
key of a stage covers the code of its own row only. What results and reports show stands in the row of the kind of recording.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invae.config.kinds import load
from invae.config.model import ModelConfig, kind_of
from invae.config.pairs import PairsModelConfig
from invae.config.schema import Config


@dataclass(frozen=True)
class ModelKind:
    """A kind of model."""

    settings: type[Config]
    """Its section `model`; the default of the field `kind` is the name of the kind."""
    train: str
    """Function from descriptors to a model, with the arguments of `invae.training.train.train`."""
    embed: str
    """Function from descriptors and a model to what the model says of every site, with the arguments of `invae.embedding.embed.embed`."""
    analyse: str
    """Function from all stores to the result, with the arguments of `invae.analysis.analyse.analyse`."""

    @property
    def name(self) -> str:
        """The value of `model.kind`."""
        return str(self.settings.model_fields["kind"].default)

    def module(self, stage: str) -> str | None:
        """Module of the function of a stage; none where the stage is the same for all kinds of models."""
        return (
            getattr(self, stage).partition(":")[0]
            if stage in ("train", "embed", "analyse")
            else None
        )

    def function(self, stage: str) -> Any:
        """The function of train, embed or analyse; its module is imported."""
        return load(getattr(self, stage))


def _table(*rows: ModelKind) -> Mapping[str, ModelKind]:
    return {row.name: row for row in rows}


MODEL_KINDS = _table(
    ModelKind(
        settings=ModelConfig,
        train="invae.training.train:train",
        embed="invae.embedding.embed:embed",
        analyse="invae.analysis.analyse:analyse",
    ),
    ModelKind(
        settings=PairsModelConfig,
        train="invae.pairs.train:train",
        embed="invae.pairs.embed:embed",
        analyse="invae.analysis.pairs.analyse:analyse",
    ),
)
"""All kinds of models by name."""


def model_kind_of(settings: Any) -> ModelKind:
    """The row of a section `model`, as settings or as JSON values of a receipt."""
    return MODEL_KINDS[kind_of(settings)]
