"""Active measurement: suggest, measure, observe, until the search ends."""

from typing import Literal

from prefect import flow
from prefect.exceptions import FlowPauseTimeout
from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput

from invae.active.session import Session
from invae.config.named import NamedConfig
from invae.config.search import InstrumentConfig
from tasks import measure as tasks
from tasks.recording_folder import exclusive


class Operator(RunInput):
    """What a person decides while the search pauses."""

    decision: Literal["approve", "exclude", "target", "stop"] = "approve"
    """approve: go on. exclude: never measure in the area. target: look for another number of the spectra. stop: end the search."""
    y: tuple[float, float] = (0.0, 0.0)
    """Area to exclude: smallest and largest y [px]."""
    x: tuple[float, float] = (0.0, 0.0)
    """Area to exclude: smallest and largest x [px]."""
    frame: int = 0
    """Frame of the area."""
    target: str = ""
    """New target, such as offset."""


@flow(flow_run_name="measure {folder}")
def measure(patches: str, folder: str, config: NamedConfig, instrument: InstrumentConfig) -> str:
    """Measure site by site until the search ends; a killed run goes on with the same next site.

    Args:
        patches: store of the candidates, which `describe` makes.
        folder: of the search: ledger, store and report.
        config: settings; the section `search` names target, surrogate and budget.
        instrument: that measures, and when a person is asked.
    """
    with exclusive(folder):
        tasks.forget(folder)
        session = tasks.session_of(patches, folder, config, instrument)
        while not session.why_stopped:
            before = len(session.search.history)
            after = tasks.measure_sites(patches, folder, config, instrument, before)
            if tasks.is_time_to_ask(instrument, before, after) and not session.why_stopped:
                ask(session, instrument)
        return tasks.report_search(patches, folder, config, instrument)


def ask(session: Session, instrument: InstrumentConfig) -> None:
    """Pause until a person decides; without an answer in time the search ends."""
    try:
        said = pause_flow_run(
            wait_for_input=Operator.with_initial_data(description=description_of(session)),
            timeout=int(instrument.ask_timeout),
            key=f"ask-{len(session.search.history)}",
        )
    except FlowPauseTimeout:
        session.end(f"no answer of a person within {instrument.ask_timeout:g} s")
        return
    decide(session, said)


def decide(session: Session, said: Operator) -> None:
    """Do what a person has decided."""
    if said.decision == "exclude":
        session.exclude(said.y, said.x, said.frame)
    elif said.decision == "target":
        session.retarget(said.target)
    elif said.decision == "stop":
        session.end("a person has stopped it")


def description_of(session: Session) -> str:
    """What the person sees."""
    search = session.search
    return (
        f"{len(search.history)} of {search.config.budget} measurements of {search.config.target}; "
        f"{search.learnable.sentence}"
    )
