"""`invae reprocess`: many recordings with one pinned configuration, and a comparison with the existing results."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.commands import options
from flows.cli.terminal import print_error, print_result, progress_console, verbose

if TYPE_CHECKING:
    from rich.console import Console

    from invae.config import ProcessConfig
    from invae.stages.compare import Change
    from invae.stages.versions import Plan

WIDTH = 110
"""Columns of the table if the output is not a terminal."""
DIGITS = 12
"""Digits of a digest in the table."""

Selection = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RECORDING…]",
        help="Names of recordings in --out; * and ? are allowed. Default: all recordings whose last run "
        "used a configuration of this name.",
        show_default=False,
    ),
]
PinnedConfig = Annotated[
    str,
    typer.Option(
        "--config", "-c", metavar="NAME@VERSION|FILE", help="Configuration, see `invae configs`."
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="YYYY-MM[-DD]",
        help="Only recordings taken on or after this date.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="YYYY-MM[-DD]",
        help="Only recordings taken up to the end of this day or month.",
        show_default=False,
    ),
]


@dataclass
class Outcome:
    """Outcome for one recording."""

    recording: str
    plan: "Plan | None" = None
    error: str = ""
    numbers: list["Change"] = field(default_factory=list)
    digests: list["Change"] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The outcome, or before the run the plan, in words."""
        if self.plan is None or self.error:
            return "failed"
        return f"runs {', '.join(self.plan.made)}" if self.plan.made else "unchanged"

    def to_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
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
        bool, typer.Option("--dry-run", help="Show the plan without running it.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Reprocess recordings in --out with another configuration or the current code.

    Only affected stages are computed. The new version is written to versions/NAME@VERSION-…/RECORDING; unchanged stores
    are shared with the old version. The command ends with a table of changes. The exit code is 0 if all recordings
    succeeded.

    For example:

      invae reprocess --config pfm-walls@3 --out results --since 2026-01

      invae reprocess "scan_00*" --config pfm-walls@3 --dry-run

      invae reprocess --config pfm-walls@3 --out s3://bucket/results
    """
    from invae.storage.location import as_path

    out = as_path(out)
    settings = options.settings(config, changes=changes, device=device, workers=workers)
    console = progress_console()
    names = select(out, selection or [], settings, since=since, until=until, console=console)
    outcomes = [plan_recording(name, out, settings, model) for name in names]
    if not dry_run:
        run_plans(outcomes, out, settings, model, console=console)
    if as_json:
        print_result(json.dumps([outcome.to_json() for outcome in outcomes], indent=1))
    else:
        print_outcomes(outcomes, dry_run=dry_run)
    for outcome in outcomes:
        for note in outcome.plan.notes if outcome.plan else ():
            console.print(f"note: {note}", markup=False, soft_wrap=True)
        if outcome.error:
            print_error(outcome.error)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def select(
    out: Path,
    patterns: Sequence[str],
    config: "ProcessConfig",
    *,
    since: str | None,
    until: str | None,
    console: "Console",
) -> list[str]:
    """Names of the selected recordings.

    Raises:
        InputError: if a pattern matches nothing, or no recording is selected.
    """
    from invae.errors import InputError
    from invae.stages import versions
    from tasks.recording_folder import read_record

    start, end = date_of(since, "--since", end=False), date_of(until, "--until", end=True)
    names = versions.recordings_in(out)
    selected = versions.matching(names, patterns, out=out) if patterns else names
    if not patterns:
        selected = [
            n for n in names if read_record(out / n).get("config", {}).get("name") == config.name
        ]
        if others := len(names) - len(selected):
            console.print(
                f"note: {others} recordings of other configurations are not selected; give their names or '*'",
                markup=False,
                soft_wrap=True,
            )
    if start or end:
        dates = {name: versions.date_of(out / name) for name in selected}
        selected = [
            name
            for name, date in dates.items()
            if (start is None or date >= start) and (end is None or date < end)
        ]
    if not selected:
        raise InputError(
            f"{out} holds no such recording; see `ls {out}`, or leave out --since and --until"
        )
    return selected


def date_of(text: str | None, option: str, *, end: bool) -> datetime | None:
    """Start of a day, month or year, or with `end` the start of the next one.

    Raises:
        InputError: if the text is not a date.
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
            f"{option} {text!r} is not a date; give YYYY, YYYY-MM or YYYY-MM-DD"
        ) from error


def plan_recording(name: str, out: Path, config: "ProcessConfig", model: Path | None) -> Outcome:
    """The plan of one recording, or the reason why it cannot be reprocessed."""
    from invae.errors import InvaeError
    from tasks.plans import plan_of

    try:
        return Outcome(name, plan_of(name, str(out), config, model=model and str(model)))
    except InvaeError as error:
        return Outcome(name, error=str(error))


def run_plans(
    outcomes: Sequence[Outcome],
    out: Path,
    config: "ProcessConfig",
    model: Path | None,
    *,
    console: "Console",
) -> None:
    """Run the plans, add errors to failed outcomes, and compare the others with the existing results."""
    from flows.cli.commands.execute import run_many
    from invae.errors import InvaeError
    from invae.stages.compare import digests, numbers

    pending = [each for each in outcomes if each.plan is not None and not each.plan.is_done]
    if pending:
        names = [each.recording for each in pending]
        failures = run_many(names, out, config, model=model, console=console, verbose=verbose())
        for each in pending:
            each.error = failures.get(each.recording, "")
    for each in outcomes:
        existing = out / each.recording
        if each.plan is not None and not each.error and each.plan.folder != existing:
            try:
                each.numbers = numbers(existing, each.plan.folder)
                each.digests = list(digests(existing, each.plan.folder))
            except InvaeError as error:  # the existing result is damaged; the others are compared
                each.error = f"cannot be compared with the existing result: {error}"


def print_outcomes(outcomes: Sequence[Outcome], *, dry_run: bool) -> None:
    """Print a line for each recording, with a table of the numbers and digests that changed."""
    from rich.console import Console

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=WIDTH)
    for each in outcomes:
        state = each.state if dry_run or each.error else each.state.replace("runs", "made")
        folder = f" ({each.plan.folder})" if each.plan else ""
        console.print(f"{each.recording}: {state}{folder}", markup=False, soft_wrap=True)
        if changes := [change for change in (*each.numbers, *each.digests) if change.differs]:
            console.print(_table(changes))
        identical = [change.what for change in each.digests if not change.differs]
        if identical:
            console.print(f"identical: {', '.join(identical)}", markup=False, soft_wrap=True)


def _table(changes: Sequence["Change"]) -> Any:
    from rich.markup import escape
    from rich.table import Table

    table = Table("quantity", "before", "now")
    for change in changes:
        units = f" [{change.units}]" if change.units not in ("", "1") else ""
        table.add_row(
            escape(change.what + units), _formatted(change.before), _formatted(change.now)
        )
    return table


def _formatted(value: float | str | None) -> str:
    if value is None:
        return "–"
    return f"{value[:DIGITS]}…" if isinstance(value, str) else f"{value:.6g}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reprocess)
