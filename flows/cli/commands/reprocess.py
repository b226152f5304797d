"""`invae reprocess`: many recordings under one pinned configuration, beside what there is, and what changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.commands import options
from flows.cli.terminal import answer, complain, progress_console, verbose

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import ProcessConfig
    from invae.stages.compare import Change
    from invae.stages.versions import Plan

WIDTH = 110
"""Of the table, where the terminal does not say."""
DIGITS = 12
"""Of a digest in the table."""

Selection = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RECORDING…]",
        help="Names of recordings in --out, * and ? allowed. Left out: all that were last run with a "
        "configuration of this name.",
        show_default=False,
    ),
]
PinnedConfig = Annotated[
    str,
    typer.Option("--config", "-c", metavar="NAME@VERSION|FILE", help="See `invae configs`."),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="YYYY-MM[-DD]",
        help="Taken on this day or later.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="YYYY-MM[-DD]",
        help="Taken before the end of this day or month.",
        show_default=False,
    ),
]


@dataclass
class Outcome:
    """What became of one recording."""

    recording: str
    plan: "Plan | None" = None
    error: str = ""
    numbers: list["Change"] = field(default_factory=list)
    digests: list["Change"] = field(default_factory=list)

    @property
    def state(self) -> str:
        """In words."""
        if self.plan is None or self.error:
            return "failed"
        return f"makes {', '.join(self.plan.made)}" if self.plan.made else "has not changed"

    def to_json(self) -> dict[str, Any]:
        """As a record."""
        plan = self.plan
        return {
            "recording": self.recording,
            "folder": str(plan.folder) if plan else None,
            "made": plan.made if plan else [],
            "kept": list(plan.held) if plan else [],
            "notes": list(plan.notes) if plan else [],
            "numbers": {c.what: [c.before, c.now, c.units] for c in self.numbers},
            "digests": {c.what: [c.before, c.now] for c in self.digests},
            "error": self.error or None,
        }


def reprocess(
    selection: Selection = None,
    config: PinnedConfig = options.DEFAULT_CONFIG,
    out: options.Out = Path("results"),
    since: Since = None,
    until: Until = None,
    model: options.Model = None,
    changes: options.Changes = None,
    device: options.Device = None,
    workers: options.Workers = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be made, and make nothing.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Have recordings that are in --out under another configuration, or under the code of today.

    Only what the change touches is computed. The new version goes beside the old one, into
    versions/NAME@VERSION-…/RECORDING; what both have in common is on the disk once. Ends with a table of what changed,
    and with code 0 if every recording was done.

    For example:

      invae reprocess --config pfm-walls@2 --out results --since 2026-01

      invae reprocess "scan_00*" --config pfm-walls@2 --dry-run

      invae reprocess --config pfm-walls@2 --out s3://bucket/results
    """
    from invae.storage.location import as_path

    out = as_path(out)
    settings = options.settings(config, changes=changes, device=device, workers=workers)
    console = progress_console()
    names = chosen(out, selection or [], settings, since=since, until=until, console=console)
    outcomes = [planned(name, out, settings, model) for name in names]
    if not dry_run:
        carry_out(outcomes, out, settings, model, console=console)
    if as_json:
        answer(json.dumps([outcome.to_json() for outcome in outcomes], indent=1))
    else:
        show(outcomes, dry_run=dry_run)
    for outcome in outcomes:
        for note in outcome.plan.notes if outcome.plan else ():
            console.print(f"note: {note}", markup=False, soft_wrap=True)
        if outcome.error:
            complain(outcome.error)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def chosen(
    out: Path,
    patterns: Sequence[str],
    config: "ProcessConfig",
    *,
    since: str | None,
    until: str | None,
    console: "Console",
) -> list[str]:
    """Names of the recordings that are meant.

    Raises:
        InputError: if a pattern fits none, or nothing is left.
    """
    from invae.errors import InputError
    from invae.stages import versions
    from tasks.recording_folder import read_record

    first, last = day(since, "--since", end=False), day(until, "--until", end=True)
    names = versions.recordings_in(out)
    found = versions.matching(names, patterns, out=out) if patterns else names
    if not patterns:
        found = [
            n for n in found if read_record(out / n).get("config", {}).get("name") == config.name
        ]
        if others := len(names) - len(found):
            console.print(
                f"note: {others} recordings of other configurations are left alone; name them, or '*', to have them too",
                markup=False,
                soft_wrap=True,
            )
    if first or last:
        dates = {name: versions.date_of(out / name) for name in found}
        found = [
            name
            for name, date in dates.items()
            if (first is None or date >= first) and (last is None or date < last)
        ]
    if not found:
        raise InputError(
            f"{out} holds no such recording; see `ls {out}`, or leave out --since and --until"
        )
    return found


def day(text: str | None, option: str, *, end: bool) -> datetime | None:
    """The first moment of a day or month, or the one after its last.

    Raises:
        InputError: if it is no date.
    """
    from invae.errors import InputError

    if text is None:
        return None
    parts = text.split("-")
    try:
        year, month, number = (int(part) for part in [*parts, "1", "1"][:3])
        start = datetime(year, month, number)
        if not end:
            return start
        if len(parts) == 3:
            return datetime.fromordinal(start.toordinal() + 1)
        return datetime(
            year + (len(parts) == 1 or month == 12), month % 12 + 1 if len(parts) == 2 else 1, 1
        )
    except ValueError as error:
        raise InputError(
            f"{option} {text!r} is no date; give YYYY, YYYY-MM or YYYY-MM-DD"
        ) from error


def planned(name: str, out: Path, config: "ProcessConfig", model: Path | None) -> Outcome:
    """What one recording needs, or why it cannot be had."""
    from invae.errors import InvaeError
    from tasks.plans import plan_of

    try:
        return Outcome(name, plan_of(name, str(out), config, model=model and str(model)))
    except InvaeError as error:
        return Outcome(name, error=str(error))


def carry_out(
    outcomes: Sequence[Outcome],
    out: Path,
    config: "ProcessConfig",
    model: Path | None,
    *,
    console: "Console",
) -> None:
    """Make what is planned, and look what changed; what failed says so."""
    from flows.cli.commands.execute import run_many
    from invae.stages.compare import digests, numbers

    todo = [one for one in outcomes if one.plan is not None and not one.plan.is_done]
    if todo:
        names = [one.recording for one in todo]
        failures = run_many(names, out, config, model=model, console=console, verbose=verbose())
        for one in todo:
            one.error = failures.get(one.recording, "")
    for one in outcomes:
        if one.plan is not None and not one.error and one.plan.folder != out / one.recording:
            before = out / one.recording
            one.numbers = numbers(before, one.plan.folder)
            one.digests = list(digests(before, one.plan.folder))


def show(outcomes: Sequence[Outcome], *, dry_run: bool) -> None:
    """A line for each recording; below it, in a table, the numbers and digests that are others than before."""
    from rich.console import Console

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=WIDTH)
    for one in outcomes:
        words = one.state if dry_run or one.error else one.state.replace("makes", "made")
        place = f" ({one.plan.folder})" if one.plan else ""
        console.print(f"{one.recording}: {words}{place}", markup=False, soft_wrap=True)
        if changed := [change for change in (*one.numbers, *one.digests) if change.differs]:
            console.print(_table(changed))
        same = [change.what for change in one.digests if not change.differs]
        if same:
            console.print(f"identical: {', '.join(same)}", markup=False, soft_wrap=True)


def _table(changed: Sequence["Change"]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table("what", "before", "now")
    for change in changed:
        units = f" [{change.units}]" if change.units not in ("", "1") else ""
        table.add_row(escape(change.what + units), _told(change.before), _told(change.now))
    return table


def _told(value: float | str | None) -> str:
    if value is None:
        return "–"
    return f"{value[:DIGITS]}…" if isinstance(value, str) else f"{value:.6g}"


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command()(reprocess)
