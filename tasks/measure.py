"""Active measurement: sites are proposed, measured and recorded, in one task run each or for a few seconds together."""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from prefect import task
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import AcquireConcurrencySlotTimeoutError
from prefect.concurrency.sync import concurrency
from prefect.context import TaskRunContext
from prefect.exceptions import ObjectAlreadyExists

from invae.active.session import Session
from invae.config import ProcessConfig
from invae.config.search import InstrumentConfig
from invae.errors import MachineError
from invae.storage.provenance import Receipt, digest_json
from tasks import artifacts
from tasks.artifacts import LivePicture
from tasks.gpu_slot import has_private_server
from tasks.progress import listener
from tasks.runs import RETRIES, RETRY_SECONDS, is_worth_retrying

LEASE_SECONDS = 60
"""An instrument whose holder does not renew its lease is free after this time; the shortest that Prefect accepts."""
LONGEST_WAIT = 3 * LEASE_SECONDS
"""Longest wait for an instrument that another run holds [s]."""
STAGE = "measure"
_sessions: dict[str, Session] = {}
"""Searches of this process by their folder; the ledger has all that is in them."""
SECONDS_BETWEEN_PICTURES = 15.0
_pictures: dict[str, LivePicture] = {}
_shown: dict[str, float] = {}
"""When the picture of a folder was last drawn."""


def limit_of(instrument: str) -> str:
    """Name of the concurrency limit of an instrument."""
    return artifacts.key_of("instrument", instrument)


def session_of(
    patches: str, folder: str, config: ProcessConfig, instrument: InstrumentConfig
) -> Session:
    """The search in a folder, as its ledger says."""
    if folder not in _sessions:
        from invae.active.opening import open_session

        _sessions[folder] = open_session(Path(patches), Path(folder), config, instrument)
    return _sessions[folder]


def forget(folder: str) -> None:
    """Read the ledger again at the next use."""
    _sessions.pop(folder, None)
    _pictures.pop(folder, None)
    _shown.pop(folder, None)


@contextmanager
def holding(instrument: str) -> Iterator[None]:
    """Hold the instrument: a concurrency limit of 1 on the shared Prefect server, under a lease that ends with its holder.

    On a server of its own a run holds nothing: a slot of a killed run would outlive the server that knows its lease.

    Raises:
        MachineError: Another run holds the instrument.
    """
    if TaskRunContext.get() is None or has_private_server():
        yield
        return
    name = limit_of(instrument)
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    held = concurrency(
        name, occupy=1, strict=True, lease_duration=LEASE_SECONDS, timeout_seconds=LONGEST_WAIT
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(held)
        except AcquireConcurrencySlotTimeoutError as error:
            raise MachineError(
                f"instrument {instrument} is held by another run; wait for it, or stop it in the Prefect UI"
            ) from error
        yield


@task(
    task_run_name="measure site {number} of {instrument.name}",
    retries=RETRIES,
    retry_delay_seconds=RETRY_SECONDS,
    retry_condition_fn=is_worth_retrying,
    persist_result=False,
)
def measure_sites(
    patches: str, folder: str, config: ProcessConfig, instrument: InstrumentConfig, number: int
) -> int:
    """Propose, measure and record, at least once; returns the number of measurements so far."""
    session = session_of(patches, folder, config, instrument)
    end = time.monotonic() + instrument.together
    budget = session.search.config.budget
    with holding(instrument.name):
        while session.step(instrument.batch):
            listener().advance(STAGE, len(session.search.history), budget, "")
            measured = len(session.search.history)
            if time.monotonic() > end or is_time_to_ask(instrument, number, measured):
                break
    show(session, folder)
    return len(session.search.history)


def is_time_to_ask(instrument: InstrumentConfig, before: int, after: int) -> bool:
    """Whether a person is asked after so many measurements."""
    every = instrument.ask_every
    return bool(every) and after // every > before // every


def show(session: Session, folder: str) -> None:
    """Show path, best value and calibration in the UI, from time to time."""
    instant = time.monotonic()
    if instant < _shown.get(folder, -math.inf) + SECONDS_BETWEEN_PICTURES:
        return
    from invae.report.search.live import live_picture

    _shown[folder] = instant
    name = Path(folder).parent.name
    if folder not in _pictures:
        words = f"{name}: map, path and calibration of the search"
        _pictures[folder] = LivePicture(artifacts.key_of(name, "search"), description=words)
    _pictures[folder].show(live_picture(session.search))


@task(task_run_name="report the search", persist_result=False)
def report_search(
    patches: str, folder: str, config: ProcessConfig, instrument: InstrumentConfig
) -> str:
    """Write the store and the page of the search; returns the path of the page."""
    from invae.active.outcome import outcome
    from invae.report.search.page import write_page

    session = session_of(patches, folder, config, instrument)
    store = Path(folder) / "search.zarr"
    session.search.save(store)
    page = write_page(
        outcome(session.search, session.why_stopped),
        Path(folder) / "report",
        config=config.report,
        receipt=_receipt(session, store, Path(patches), config),
        title=Path(folder).parent.name,
    )
    artifacts.show_table(
        artifacts.key_of(Path(folder).parent.name, "search-summary"),
        [facts_of(session)],
        description=f"Search {Path(folder).parent.name}",
    )
    return str(page)


def _receipt(session: Session, store: Path, patches: Path, config: ProcessConfig) -> Receipt:
    """The receipt of the search, with the files that its candidates come from and the whole configuration."""
    from invae.active.search_store import receipt_of
    from invae.storage.store import read_receipt

    settings = config.model_dump(mode="json")
    receipt = replace(
        receipt_of(session.search, store), config=settings, config_hash=digest_json(settings)
    )
    described = read_receipt(patches)
    if described is None:
        return receipt
    inputs = {**described.inputs, described.stage: described.key}
    return replace(receipt, sources=described.sources, inputs=inputs)


def facts_of(session: Session) -> dict[str, str | int | float]:
    """The outcome in a few words."""
    found = session.search.calibration
    return {
        "learnable": session.search.learnable.sentence,
        "measurements": len(session.search.history),
        "stopped by": session.why_stopped,
        "share inside 90 % intervals": round(found.all, 3),
        "random checks inside": f"{found.checks:.2f} of {found.n_checks}",
    }
