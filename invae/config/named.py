"""Named configurations: found by name, validated, and changed from the command line; every error is one line."""

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
    """The folder of the named configurations: of the checkout, or of the installed package."""
    return next((path for path in FOLDERS if path.is_dir()), FOLDERS[0])


def available() -> dict[str, Path]:
    """Files of the named configurations by name, or by `name@version` for earlier versions."""
    return {path.stem: path for path in sorted(folder().glob("*.yaml"))}


def versions_of(name: str) -> list[str]:
    """Versions of a named configuration, the current one first."""
    files = available()
    earlier = [key.partition("@")[2] for key in files if key.startswith(f"{name}@")]
    current = [load(name).version] if name in files else []
    return current + sorted(earlier, key=lambda version: (len(version), version), reverse=True)


def load(name: str, *, changes: Sequence[str] = ()) -> ProcessConfig:
    """A configuration by name, `name@version` or file, with `key=value` changes.

    Raises:
        ConfigError: if it does not exist, cannot be parsed, or has an invalid key or value.
    """
    path = _find(name)
    values = changed(read(path), changes, model=ProcessConfig)
    config = checked(ProcessConfig, values, prefix="config")
    base, _, version = name.partition("@") if not Path(name).is_file() else ("", "", "")
    if version and config.version != version.removeprefix("v"):
        raise ConfigError(
            f"config {name!r}: there is no such version, only {', '.join(versions_of(base))}; "
            f"keep another one as {base}@{version.removeprefix('v')}.yaml in {folder()}"
        )
    return config


LARGEST_BYTES, LONGEST_SHOWN = 1_000_000, 80
"""Largest file of a configuration [bytes]; letters of a value that are shown in a message."""
UNTAGGED = {"model": "vae"}
"""Sections that are written without `kind` where they are of this kind."""


def label(config: ProcessConfig) -> str:
    """The label of a configuration in results: `name@version`."""
    return f"{config.name}@{config.version}"


def pinned(text: str) -> ProcessConfig:
    """The configuration named by `NAME@VERSION key=value …`.

    File names are not accepted: whoever asks for a run may not be allowed to read the worker's files.

    Raises:
        ConfigError: if there is no configuration of this name and version, or a change is invalid.
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
"""A flow's parameter: a full configuration, or `NAME@VERSION` of a named one."""


def amended(config: ProcessConfig, changes: Sequence[str]) -> ProcessConfig:
    """A configuration with `key=value` changes.

    Raises:
        ConfigError: if a key or value is invalid.
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
    nearest = suggestion(name.partition("@")[0], files) or "give a .yaml file"
    return f"config {name!r} does not exist; {nearest} (available: {', '.join(files) or 'none'})"


class _Plain(yaml.SafeLoader):
    """YAML without aliases: nested ones can stand for more values than fit into memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not allowed; write the value out")
        return super().compose_node(parent, index)


def _parsed(text: str) -> Any:
    loader = _Plain(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def read(path: Path) -> Values:
    """The values in a file, not validated.

    Raises:
        ConfigError: if it cannot be read, or is not a mapping of keys to values.
    """
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(
                f"config {path} has {path.stat().st_size} bytes; it is no configuration"
            )
        values = _parsed(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"config {path} is not YAML: {_one_line(str(error))}") from error
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read: {error.strerror}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(
            f"config {path} holds a {type(values).__name__}; it must hold keys and values"
        )
    return values


def changed(
    values: Values, changes: Sequence[str], *, model: type[BaseModel] | None = None
) -> Values:
    """The values after `key=value` changes; keys are dotted, values are YAML.

    If a model is given, a key may be shortened to its last parts as long as they match one key only.

    Raises:
        ConfigError: if a change is not of this form.
    """
    result, keys = _copy(values), list(dict.fromkeys(keys_of(model))) if model else []
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals or not key.strip(" ."):
            raise ConfigError(f"--set {change!r} is not key=value, such as training.epochs=20")
        try:
            value = _parsed(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            shown = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
            raise ConfigError(f"--set {key}: the value is not YAML ({shown})") from error
        _put(result, _full_key(key.strip(), keys).split("."), value, change=change)
    return result


def _full_key(key: str, keys: Sequence[str]) -> str:
    """The full form of a shortened key; the key itself if it is already full, ambiguous or unknown."""
    matching = [full for full in keys if full.endswith(f".{key}")]
    return matching[0] if key not in keys and len(matching) == 1 else key


def _copy(values: Values) -> Values:
    return {k: _copy(v) if isinstance(v, dict) else v for k, v in values.items()}


def _put(values: Values, keys: Sequence[str], value: Any, *, change: str) -> None:
    *sections, last = keys
    for section in sections:
        inner = values.get(section)
        if inner is None:
            inner = values[section] = {}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change!r}: {section!r} is {inner!r}, which has no keys")
        values = inner
    before = values.get("kind", UNTAGGED.get(".".join(sections), value))
    if last == "kind" and before != value:
        values.clear()  # settings of one kind do not fit another
    values[last] = value


def checked(model: type[Model], values: Values, *, prefix: str) -> Model:
    """The values as a validated model.

    Raises:
        ConfigError: names the first wrong key, and the nearest valid one if it is misspelt.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explanation(error, model, prefix=prefix)) from error


def explanation(error: ValidationError, model: type[BaseModel], *, prefix: str) -> str:
    """The first error in one line, and the number of further ones."""
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
    """The location as a dotted key, without the names of kinds that pydantic inserts."""
    place: list[str] = []
    prefixes = {key.rsplit(".", n)[0] for key in valid for n in range(key.count(".") + 1)}
    for index, piece in enumerate(location):
        is_last = index == len(location) - 1
        if is_last or isinstance(piece, int) or ".".join([*place, piece]) in prefixes:
            place.append(str(piece))
    return ".".join(place)


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All dotted keys of a configuration, including those of every kind."""
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
    """`did you mean …?` with the nearest valid word; empty if none is close."""
    by_last = {key.rsplit(".", 1)[-1]: key for key in reversed(words)}
    matches = difflib.get_close_matches(word, words, n=1, cutoff=0.75)
    matches = matches or [
        by_last[last]
        for last in difflib.get_close_matches(word.rsplit(".", 1)[-1], list(by_last), n=1)
    ]
    matches = matches or difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"did you mean {matches[0]}?" if matches else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def as_yaml(config: BaseModel) -> str:
    """The whole configuration, including defaults."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
