"""All that is looked at, in the order in which it helps."""

from pathlib import Path

from flows.service.doctor.access import check_access, check_page, own_addresses
from flows.service.doctor.check import Check, fail, ok
from flows.service.doctor.machine import check_gpu, check_room, check_writable
from flows.service.doctor.reachable import Reached, Silence, reached
from flows.service.doctor.server import check_limit, check_schedules, check_zombies
from flows.service.doctor.stores import check_leftovers, check_shards
from flows.service.doctor.versions import check_pins
from invae.storage.location import ObjectPath, as_path


def examine(out: Path, *, fix: bool = False) -> list[Check]:
    """Look at libraries, machine, stores and server.

    Args:
        out: folder of the recordings.
        fix: whether what can be made is made: the GPU's slot.
    """
    pins = check_pins()
    from prefect.settings import get_current_settings

    settings, out = get_current_settings(), as_path(out)
    elsewhere = isinstance(out, ObjectPath)
    here = [
        *check_room(*([] if elsewhere else [out]), settings.home),
        *([] if elsewhere else check_writable(out)),
        *check_gpu(),
        *check_shards(out),
        *check_leftovers(out),
    ]
    with reached() as server:
        if isinstance(server, Silence):
            return [*pins, *here, _silent(server)]
        beat = settings.flows.heartbeat_frequency
        return [*pins, *here, *_of_server(server, fix=fix, beat=beat)]


def _silent(silence: Silence) -> Check:
    if not silence.address:
        return ok("server", "none is set, every command brings its own; `invae serve` runs one")
    remedy = "start it, or unset PREFECT_API_URL"
    return fail("server", silence.reason, remedy)


def _of_server(server: Reached, *, fix: bool, beat: float | None) -> list[Check]:
    import torch

    return [
        ok("server", f"answers at {server.address}"),
        *check_access(server.address, own=own_addresses()),
        *check_page(server.address),
        *check_schedules(server.client),
        *check_limit(server.client, fix=fix, has_gpu=torch.cuda.is_available()),
        *check_zombies(server.client, own_beat=beat),
    ]
