"""Writes docs/reference/settings.md from the configuration: `python -m docs.settings_reference`."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from invae.config import ProcessConfig

PAGE = Path(__file__).parent / "reference" / "settings.md"
HEAD = """# Settings

Written by `python -m docs.settings_reference` from the configuration itself. `--set KEY=VALUE` changes a setting of a run, a YAML file holds all of them, and
`invae configs NAME` shows those of a named configuration. Where a section has a `kind`, the kind decides on its other settings.
"""
LONGEST = 60
"""Longest default that is shown [characters]."""


def page() -> str:
    """The whole page as Markdown."""
    sections = [line for name, model in models(ProcessConfig) for line in _section(name, model)]
    return "\n".join([HEAD, *sections]).rstrip() + "\n"


def models(
    model: type[BaseModel], name: str = "", above: tuple[type, ...] = ()
) -> Iterator[tuple[str, type[BaseModel]]]:
    """Full names and models of all sections, each once; a section of several kinds has a model for each."""
    yield name, model
    listed: set[tuple[str, type]] = set()
    for field, info in model.model_fields.items():
        inner = f"{name}.{field}".lstrip(".")
        for part in _models_in(info.annotation):
            if part not in above and (inner, part) not in listed:
                listed.add((inner, part))
                yield from models(part, inner, (*above, part))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not Literal:
        for part in get_args(annotation):
            yield from _models_in(part)


def _section(name: str, model: type[BaseModel]) -> Iterator[str]:
    kind = model.model_fields.get("kind")
    words = f", kind {kind.default}" if kind and isinstance(kind.default, str) else ""
    yield f"{'#' * min(2 + name.count('.'), 4)} {name or 'All stages'}{words}\n"
    if model.__doc__:
        yield f"{_line(model.__doc__)}\n"
    yield "| setting | meaning | values | default |\n| --- | --- | --- | --- |"
    for field, info in model.model_fields.items():
        full = f"{name}.{field}".lstrip(".")
        meaning = _cell(info.description or _about(info.annotation))
        yield f"| `{full}` | {meaning} | {_cell(_values(info))} | {_cell(_default(info))} |"
    yield ""


def _about(annotation: Any) -> str:
    """What a section without a description of its own is for, from the docstring of its model."""
    parts = list(_models_in(annotation))
    return (parts[0].__doc__ or "") if len(parts) == 1 else ""


def _values(info: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, name):g}"
        for rule in info.metadata
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤"))
        if getattr(rule, name, None) is not None
    ]
    return ", ".join([_type(info.annotation), *bounds])


def _type(annotation: Any) -> str:
    """The values of an annotation in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " \\| ".join(f"`{part}`" for part in parts)
    if origin is Annotated:
        return _type(parts[0])
    if origin in {Union, UnionType}:
        words = [_type(part) for part in parts if part is not NoneType]
        return " \\| ".join(dict.fromkeys([*words, *(["empty"] if NoneType in parts else [])]))
    if origin in {tuple, list, set, frozenset}:
        words = dict.fromkeys(_type(part) for part in parts if part is not Ellipsis)
        return f"list of {' and '.join(words)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}.get(
        getattr(annotation, "__name__", ""), getattr(annotation, "__name__", str(annotation))
    )


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or isinstance(value, BaseModel) or len(f"{value}") > LONGEST:
        return ""
    return f"`{value}`" if f"{value}" else ""


def _line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", _line(text))


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
