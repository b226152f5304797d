"""The base of every configuration: frozen, unknown keys refused, field docstrings become the help of the Prefect form."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from invae.redaction import holds_secret


class Config(BaseModel):
    """One section of the configuration; unknown and misspelt keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="after")
    def _holds_no_secret(self) -> Self:
        """Refuse passwords and keys: configurations are written into stores, reports and the server's database."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, str) and holds_secret(value):
                raise ValueError(f"{name} holds a password or key; set it in the environment")
        return self
