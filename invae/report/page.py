"""The HTML page: one file, which loads nothing else; all texts are escaped."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from invae.errors import visible
from invae.report.explorer import module
from invae.report.explorer.packing import Packed
from invae.report.facts import facts, method, sentences
from invae.report.figure import Result, Table
from invae.report.style import number
from invae.storage.provenance import Receipt
from invae.verdict.findings import verdict_in

TEMPLATE = "page.jinja"


@dataclass(frozen=True)
class Shown:
    """A figure as it goes into the page."""

    name: str
    title: str
    how_to_read: str
    numbers: str
    png: bytes
    width: int
    """Width on the page [CSS pixel]."""
    table: Table | None = None

    @property
    def base64(self) -> str:
        """The image in base64."""
        return base64.b64encode(self.png).decode()


@dataclass(frozen=True)
class Section:
    """Figures under a heading."""

    name: str
    figures: Sequence[Shown]

    @property
    def anchor(self) -> str:
        """Target of the link in the table of contents."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.name.lower())


@dataclass(frozen=True)
class Code:
    """Style sheet and script of a page, and the policy that allows these two and nothing else."""

    css: Markup
    script: Markup
    data: Markup
    """What the script shows, as JSON."""
    policy: str
    """The browser loads nothing, and runs only this script, even if a text were taken for HTML."""


def code(data: Packed | None = None) -> Code:
    """Style sheet, and script of the interactive view if there are data for it."""
    css = _file("page.css") + (module.style() if data else "")
    script = module.program() if data else ""
    allowed = f"style-src {_digest(css)}" + (f"; script-src {_digest(script)}" if data else "")
    policy = f"default-src 'none'; img-src data:; {allowed}; base-uri 'none'; form-action 'none'"
    json_text = module.embedded(data) if data else ""
    # The three are ours, and the JSON has no letter that could end its element.
    return Code(Markup(css), Markup(script), Markup(json_text), policy)


def _file(name: str) -> str:
    return files("invae.report").joinpath("templates", name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """The text as a source of a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def page(
    result: Result,
    sections: Mapping[str, Sequence[Shown]],
    left_out: Sequence[str],
    *,
    title: str,
    receipts: Sequence[Receipt],
    explorer: Packed | None = None,
) -> str:
    """The whole page.

    Args:
        result: groups of the result.
        sections: title of a section → its figures.
        left_out: figures that are not shown, with reasons.
        title: of the page.
        receipts: of the result and of the report.
        explorer: data of the interactive view, if there is one.
    """
    return (
        environment()
        .get_template(TEMPLATE)
        .render(
            code=code(explorer),
            title=title,
            sentences=sentences(result),
            verdict=verdict_in(result[""].attrs),
            facts=list(facts(result)),
            method=list(method(result)),
            notes=[str(note) for note in result[""].attrs.get("notes", [])],
            sections=[Section(name, figures) for name, figures in sections.items() if figures],
            left_out=left_out,
            tables=provenance(receipts),
            configuration=json.dumps(receipts[0].config, indent=1, ensure_ascii=False),
        )
    )


def environment() -> Environment:
    """The templates of the page. Every text is escaped, and invisible characters are replaced."""
    return Environment(
        loader=PackageLoader("invae.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: object) -> object:
    """The value with invisible characters replaced, unless it is finished HTML."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def provenance(receipts: Sequence[Receipt]) -> list[Table]:
    """Sources, stages, settings and versions."""
    first = receipts[0]
    named = f"{first.config.get('name', '–')} version {first.config.get('version', '–')}"
    return [
        Table(
            ["source", "bytes", "SHA-256"],
            [[s.name, number(float(s.n_bytes)), s.sha256] for s in first.sources],
        ),
        Table(
            ["stage", "created", "key", "code"],
            [[r.stage, r.created, r.key, r.code] for r in receipts],
        ),
        Table(
            ["setting", "value"],
            [
                ["configuration", named],
                ["configuration hash", first.config_hash],
                ["seed", str(first.seed)],
                *([f"key of {stage}", key] for stage, key in first.inputs.items()),
            ],
        ),
        Table(
            ["package", "version"],
            [[str(name), str(version)] for name, version in first.versions.items()],
        ),
    ]
