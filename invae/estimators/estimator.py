"""What all estimators share with scikit-learn: their settings by name, a short and an HTML representation, and pickling."""

from __future__ import annotations

import functools
import inspect
import tempfile
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any, Self, TypeVar

from invae.errors import ConfigError

Loaded = TypeVar("Loaded")


class Estimator:
    """Settings and representation of an estimator; its settings are the arguments of `__init__`.

    `sklearn.base.clone` makes an untrained copy.
    """

    _given: dict[str, Any]

    def __init_subclass__(cls) -> None:
        """Remember the arguments of `__init__`."""
        super().__init_subclass__()
        initialise = cls.__init__
        arguments = inspect.signature(initialise)

        @functools.wraps(initialise)
        def remembering(self: Any, *args: Any, **options: Any) -> None:
            if unknown := [name for name in options if name not in arguments.parameters]:
                raise TypeError(_unknown(type(self), unknown, [*arguments.parameters][1:]))
            initialise(self, *args, **options)
            bound = arguments.bind(self, *args, **options)
            bound.apply_defaults()
            self._given = dict(list(bound.arguments.items())[1:])

        cls.__init__ = remembering

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name, as they were given."""
        return dict(self._given)

    def set_params(self, **settings: Any) -> Self:
        """Change settings; the estimator is untrained afterwards.

        Raises:
            ConfigError: There is no such setting, or it has no such value.
        """
        if unknown := sorted(set(settings) - set(self._given)):
            raise ConfigError(_unknown(type(self), unknown, [*self._given]))
        self.__init__(**{**self._given, **settings})
        return self

    @property
    def is_trained(self) -> bool:
        """Whether it has seen data."""
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        """For scikit-learn's own checks."""
        return self.is_trained

    def _changed(self) -> dict[str, Any]:
        """The settings that are not the usual ones."""
        usual = inspect.signature(type(self)).parameters
        return {name: v for name, v in self._given.items() if v is not usual[name].default}

    def __repr__(self) -> str:
        """The call that makes the estimator, without the usual settings."""
        return (
            f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self._changed().items())})"
        )

    def _repr_html_(self) -> str:
        """The settings as a table, for notebooks."""
        state = "trained" if self.is_trained else "untrained"
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(repr(value))}</td></tr>"
            for name, value in self._changed().items()
        )
        return f"<b>{escape(type(self).__name__)}</b>, {state}<table>{rows}</table>"


def _unknown(kind: type, names: list[str], known: list[str]) -> str:
    """`InvariantVAE has no setting latent_dims; did you mean latent_dim?`, then all settings."""
    from invae.config.named import suggestion  # imports all settings

    hint = " ".join(filter(None, (suggestion(name, known) for name in names)))
    there = f"it has {', '.join(known)}"
    return f"{kind.__name__} has no setting {', '.join(names)}; {f'{hint} ' if hint else ''}{there}"


class SavedEstimator(Estimator):
    """An estimator with `save` and `load`; a pickle holds its settings and what `save` writes."""

    def __getstate__(self) -> dict[str, Any]:
        """Settings, and the files of the trained model."""
        return {"given": self._given, "files": saved_files(self) if self.is_trained else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the estimator again from its settings, and load the files."""
        self.__init__(**state["given"])
        if state["files"] is not None:
            kind: Any = type(self)
            vars(self).update(vars(from_files(state["files"], kind.load)))
            self._given = state["given"]


def saved_files(estimator: Any) -> dict[str, bytes]:
    """Content of the files that `save` writes, by path."""
    with tempfile.TemporaryDirectory() as folder:
        estimator.save(folder)
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def from_files(files: Mapping[str, bytes], load: Callable[[Path], Loaded]) -> Loaded:
    """What is loaded from a folder with these files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return load(Path(folder))
