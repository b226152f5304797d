"""What every configuration shares: frozen, no unknown keys, field docstrings that reach the Prefect form."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """One section of the configuration; unknown and misspelt keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
