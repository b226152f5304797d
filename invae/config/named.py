"""Named configurations: found, checked, and changed from the command line; what is wrong is said in one line."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ValidationError

from invae.config import ProcessConfig
from invae.errors import ConfigError

FOLDERS = (
    Path(__file__).parents[2] / "deployments" / "configs",  # in a checkout
    Path(__file__).parent / "configs",  # in an installed wheel
)

Model = TypeVar("Model", bound=BaseModel)
Values = dict[str, Any]


def folder() -> Path:
    """Where the named configurations lie: in the checkout, or in the installed package."""
    return next((path for path in FOLDERS if path.is_dir()), FOLDERS[0])


def available() -> dict[str, Path]:
    """Files of the named configurations, by name, or by `name@version` for versions kept beside the current one."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def versions_of(name: str) -> list[str]:
    """Versions of a named configuration, the current one first."""
    files = available()
    beside = [key.partition("@")[2] for key in files if key.startswith(f"{name}@")]
    current = [load(name).version] if name in files else []
    return current + sorted(beside, key=lambda version: (len(version), version), reverse=True)


def load(name: str, *, changes: Sequence[str] = ()) -> ProcessConfig:
    """A configuration by name, `name@version` or file, with `key=value` changes.

    Raises:
        ConfigError: if it is not found, does not parse, or a key or value is not valid.
    """
    path = _find(name)
    values = changed(read(path), changes, model=ProcessConfig)
    config = checked(ProcessConfig, values, prefix="config")
    base, _, wanted = name.partition("@") if not Path(name).is_file() else ("", "", "")
    if wanted and config.version != wanted.removeprefix("v"):
        raise ConfigError(
            f"config {name!r}: there is no such version, only {', '.join(versions_of(base))}; "
            f"others are kept as {base}@{wanted.removeprefix('v')}.yaml in {folder()}"
        )
    return config


def label(config: ProcessConfig) -> str:
    """The configuration as a result names it: `name@version`."""
    return f"{config.name}@{config.version}"


def pinned(text: str) -> ProcessConfig:
    """The configuration that `NAME@VERSION key=value …` stands for.

    A file's name is no name here: a run may be asked for by somebody who may not read the worker's files.

    Raises:
        ConfigError: if there is no configuration of that name and version, or a change does not fit it.
    """
    name, *changes = text.split() or [""]
    if name not in available() and not re.fullmatch(r"[\w-]+@[\w-]+", name):
        raise ConfigError(_unknown(name))
    return load(name, changes=changes)


def _named(value: object) -> object:
    return pinned(value) if isinstance(value, str) else value


NamedConfig = Annotated[
    ProcessConfig, BeforeValidator(_named, json_schema_input_type=str | ProcessConfig)
]
"""A flow's parameter: a configuration in full, or `NAME@VERSION` of one that is kept here."""


def amended(config: ProcessConfig, changes: Sequence[str]) -> ProcessConfig:
    """A configuration with `key=value` changes.

    Raises:
        ConfigError: if a key or value is not valid.
    """
    values = changed(config.model_dump(mode="json"), changes, model=ProcessConfig)
    return checked(ProcessConfig, values, prefix="config")


def _find(name: str) -> Path:
    files = available()
    base, _, version = name.partition("@")
    for key in (name, f"{base}@{version.removeprefix('v')}"):
        if key in files:
            return files[key]
    if Path(name).suffix in (".yaml", ".yml", ".json") or Path(name).is_file():
        if not Path(name).is_file():
            raise ConfigError(f"config {name!r}: there is no such file")
        return Path(name)
    if base in files:
        return files[base]
    raise ConfigError(_unknown(name))


def _unknown(name: str) -> str:
    files = list(available())
    near = suggestion(name.partition("@")[0], files) or "give a .yaml file"
    return f"config {name!r} does not exist; {near} (available: {', '.join(files) or 'none'})"


def read(path: Path) -> Values:
    """The values in a file, unchecked.

    Raises:
        ConfigError: if it cannot be read, or holds no keys and values.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not YAML: {_one_line(str(error))}") from error
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"config {path} holds a {type(values).__name__}; keys and values wanted")
    return values


def changed(
    values: Values, changes: Sequence[str], *, model: type[BaseModel] | None = None
) -> Values:
    """The values after `key=value` changes; keys are dotted, values are YAML.

    Where a model is given, the end of a key stands for the whole if it is that of one key alone.

    Raises:
        ConfigError: if a change is not of that form.
    """
    result, keys = _copy(values), list(dict.fromkeys(keys_of(model))) if model else []
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip(" ."):
            raise ConfigError(f"--set {change!r} is not key=value, such as training.epochs=20")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {change!r}: the value is not YAML ({text})") from error
        _put(result, _whole(key.strip(), keys).split("."), value, change=change)
    return result


def _whole(key: str, keys: Sequence[str]) -> str:
    """The key that a short one stands for; itself if it is one, or if there are several or none."""
    ending = [whole for whole in keys if whole.endswith(f".{key}")]
    return ending[0] if key not in keys and len(ending) == 1 else key


def _copy(values: Values) -> Values:
    return {k: _copy(v) if isinstance(v, dict) else v for k, v in values.items()}


def _put(values: Values, keys: Sequence[str], value: Any, *, change: str) -> None:
    *places, last = keys
    for place in places:
        inner = values.get(place)
        if inner is None:
            inner = values[place] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change!r}: {place!r} holds {inner!r} and has no keys in it")
        values = inner
    if last == "kind" and values.get("kind", value) != value:
        values.clear()  # the settings of another kind do not fit this one
    values[last] = value


def checked(model: type[Model], values: Values, *, prefix: str) -> Model:
    """The values as a model.

    Raises:
        ConfigError: names the first key that is wrong, and the nearest right one if it is misspelt.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explanation(error, model, prefix=prefix)) from error


def explanation(error: ValidationError, model: type[BaseModel], *, prefix: str) -> str:
    """The first error in one line, and how many more there are."""
    errors = error.errors(include_url=False)
    first = errors[0]
    valid = list(keys_of(model))
    place = _place(first["loc"], valid)
    text = f"{prefix}.{place}: {_one_line(first['msg'])}"
    if first["type"] == "extra_forbidden":
        text = f"{prefix}.{place}: there is no such key; {suggestion(place, valid) or 'see invae configs'}"
    elif not isinstance(first["input"], Mapping) and first["type"] != "missing":
        text += f", not {first['input']!r}"
    return text if len(errors) == 1 else f"{text} (and {len(errors) - 1} more)"


def _place(location: Sequence[int | str], valid: Sequence[str]) -> str:
    """The location as a dotted key, without the names of kinds that pydantic puts between."""
    place: list[str] = []
    prefixes = {key.rsplit(".", n)[0] for key in valid for n in range(key.count(".") + 1)}
    for index, piece in enumerate(location):
        is_last = index == len(location) - 1
        if is_last or isinstance(piece, int) or ".".join([*place, piece]) in prefixes:
            place.append(str(piece))
    return ".".join(place)


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All dotted keys of a configuration, those of every kind included."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models(field.annotation):
            yield from keys_of(inner, f"{prefix}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def suggestion(word: str, words: Sequence[str]) -> str:
    """`did you mean …?` with the nearest valid word; empty if none is near."""
    by_last = {key.rsplit(".", 1)[-1]: key for key in reversed(words)}
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.75)
    near = near or [
        by_last[last]
        for last in difflib.get_close_matches(word.rsplit(".", 1)[-1], list(by_last), n=1)
    ]
    near = near or difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def as_yaml(config: BaseModel) -> str:
    """The whole configuration, defaults included."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
