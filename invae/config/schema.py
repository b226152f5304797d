"""What every configuration shares: frozen, no unknown keys, field docstrings that reach the Prefect form."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from invae.redaction import holds_secret


class Config(BaseModel):
    """One section of the configuration; unknown and misspelt keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Configurations are written into stores, reports and the server's record."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, str) and holds_secret(value):
                raise ValueError(f"{name} has a password or key in it; set it in the environment")
        return self
