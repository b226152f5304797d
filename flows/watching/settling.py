"""New and changed recordings of a watched folder: they must not change for some time before they get a run."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from flows.watching import fingerprint
from flows.watching.grouping import Arrival
from flows.watching.ledger import Entry, utc_now
from invae.config import WatchConfig

CLOCK_SECONDS = 1.0
"""Steps of the clock that count as none."""


def updated_entries(here: Mapping[str, Arrival], before: Mapping[str, Entry]) -> dict[str, Entry]:
    """The entries of all arrivals; unchanged recordings keep theirs.

    Args:
        here: the recordings in the folder, by their first file.
        before: the entries so far, by the same.
    """
    entries: dict[str, Entry] = {}
    for key, arrival in here.items():
        try:
            entries[key] = _updated(arrival, before.get(key))
        except FileNotFoundError:
            continue  # vanished during the scan; the next scan decides
        except OSError as error:
            fault = f"{arrival.key} cannot be read ({error.strerror}); check its permissions"
            entries[key] = quarantined_entry(arrival, before.get(key), fault)
    return entries


def _updated(arrival: Arrival, before: Entry | None) -> Entry:
    if arrival.fault:
        return quarantined_entry(arrival, before, arrival.fault)
    files = tuple(str(file) for file in arrival.files)
    if before is not None and before.files == files and before.fingerprint:
        settling = before.state == "settling"
        if settling and _is_in_future(before):
            return replace(before, since=utc_now())
        if not settling and fingerprint.is_unchanged(arrival.files, before.fingerprint):
            return before
        mark = fingerprint.fingerprint(arrival.files)
        if settling and before.fingerprint == mark:
            return before
    else:
        mark = fingerprint.fingerprint(arrival.files)
    return Entry(arrival.name, files, "", "settling", utc_now(), fingerprint=mark)


def _is_in_future(entry: Entry) -> bool:
    """Whether the clock was set back since: the recording settles anew, and does not wait for the old time."""
    return (datetime.fromisoformat(entry.since) - datetime.now(UTC)).total_seconds() > CLOCK_SECONDS


def quarantined_entry(arrival: Arrival, before: Entry | None, fault: str) -> Entry:
    """The entry of a recording that is quarantined without a run, because it must not or cannot be opened."""
    if before is not None and (before.state, before.reason) == ("set aside", fault):
        return before
    files = tuple(str(file) for file in arrival.files)
    return Entry(arrival.name, files, "", "set aside", utc_now(), reason=fault)


def seconds_left(arrival: Arrival, entry: Entry, config: WatchConfig) -> float:
    """Time until a recording has settled [s]; negative afterwards."""
    patience = config.series_settle if arrival.is_series else config.settle
    return patience - (datetime.now(UTC) - datetime.fromisoformat(entry.since)).total_seconds()


def settled_sizes(
    here: Mapping[str, Arrival], entries: Mapping[str, Entry], config: WatchConfig
) -> dict[str, int]:
    """Keys and sizes [bytes] of the recordings that have settled, smallest first: large ones take long to read."""
    sizes: dict[str, int] = {}
    for key, arrival in here.items():
        entry = entries.get(key)
        if entry is None or entry.state != "settling" or seconds_left(arrival, entry, config) > 0:
            continue
        try:
            sizes[key] = fingerprint.n_bytes(arrival.files)
        except OSError:
            continue  # vanished; the next scan decides
    return dict(sorted(sizes.items(), key=lambda item: item[1]))


def seconds_until_settled(
    here: Mapping[str, Arrival], entries: Mapping[str, Entry], config: WatchConfig
) -> float | None:
    """Time until the next recording has settled [s]; None if all have."""
    left = [
        seconds_left(here[key], entry, config)
        for key, entry in entries.items()
        if entry.state == "settling" and key in here
    ]
    return min((seconds for seconds in left if seconds > 0), default=None)
