"""What lies in a watched folder, against what the ledger knows: what is new or has changed settles first."""

from collections.abc import Mapping
from datetime import UTC, datetime

from flows.watching import fingerprint
from flows.watching.grouping import Arrival
from flows.watching.ledger import Entry, instant
from invae.config import WatchConfig


def looked_at(
    here: Mapping[str, Arrival], before: Mapping[str, Entry], *, version: str
) -> dict[str, Entry]:
    """Entries of all arrivals; those that have not changed are what they were.

    Args:
        here: what lies in the folder, by its first file.
        before: what was known, by the same.
        version: NAME@VERSION of the configuration that new ones get.
    """
    found: dict[str, Entry] = {}
    for key, arrival in here.items():
        try:
            found[key] = _look(arrival, before.get(key), version)
        except FileNotFoundError:
            continue  # went away while we looked; the next scan knows more
        except OSError as error:
            fault = f"{arrival.key} cannot be read ({error.strerror}); check its rights"
            found[key] = refused(arrival, before.get(key), fault, version=version)
    return found


def _look(arrival: Arrival, before: Entry | None, version: str) -> Entry:
    if arrival.fault:
        return refused(arrival, before, arrival.fault, version=version)
    files = tuple(str(file) for file in arrival.files)
    if before is not None and before.files == files and before.fingerprint:
        settling = before.state == "settling"
        if not settling and fingerprint.is_same(arrival.files, before.fingerprint):
            return before
        mark = fingerprint.fingerprint(arrival.files)
        if settling and before.fingerprint == mark:
            return before
    else:
        mark = fingerprint.fingerprint(arrival.files)
    return Entry(arrival.name, files, "", "settling", instant(), config=version, fingerprint=mark)


def refused(arrival: Arrival, before: Entry | None, fault: str, *, version: str) -> Entry:
    """The entry of an arrival that is set aside without a run: it must not be opened, or cannot."""
    if before is not None and (before.state, before.reason) == ("set aside", fault):
        return before
    files = tuple(str(file) for file in arrival.files)
    return Entry(arrival.name, files, "", "set aside", instant(), reason=fault, config=version)


def seconds_left(arrival: Arrival, entry: Entry, config: WatchConfig) -> float:
    """Time until a recording has settled [s]; negative afterwards."""
    patience = config.series_settle if arrival.is_series else config.settle
    return patience - (datetime.now(UTC) - datetime.fromisoformat(entry.since)).total_seconds()


def settled(
    here: Mapping[str, Arrival], known: Mapping[str, Entry], config: WatchConfig
) -> list[str]:
    """Recordings that have settled, small ones first: a large one takes long to read."""
    sizes: dict[str, int] = {}
    for key, arrival in here.items():
        entry = known.get(key)
        if entry is None or entry.state != "settling" or seconds_left(arrival, entry, config) > 0:
            continue
        try:
            sizes[key] = fingerprint.n_bytes(arrival.files)
        except OSError:
            continue  # went away; the next scan knows more
    return sorted(sizes, key=lambda key: sizes[key])


def settled_in(
    here: Mapping[str, Arrival], known: Mapping[str, Entry], config: WatchConfig
) -> float | None:
    """Time until the next recording has settled [s]; none if nothing settles."""
    left = [
        seconds_left(here[key], entry, config)
        for key, entry in known.items()
        if entry.state == "settling" and key in here
    ]
    return max(min(left), 0.0) if left else None
