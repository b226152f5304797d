"""All checks, in the order of output."""

from pathlib import Path

from flows.service.doctor.access import check_access, check_page, own_addresses
from flows.service.doctor.check import Check, fail, ok
from flows.service.doctor.machine import check_gpu, check_room, check_writable
from flows.service.doctor.reachable import NoServer, Server, ask_server
from flows.service.doctor.server import check_limit, check_schedules, check_zombies
from flows.service.doctor.stores import check_bytes, check_leftovers, check_shards
from flows.service.doctor.versions import check_pins
from invae.progress import Progress, silent
from invae.storage.location import ObjectPath, as_path, require_answer


def examine(
    out: Path, *, fix: bool = False, verify: bool = False, progress: Progress = silent
) -> list[Check]:
    """Check libraries, machine, stores and server.

    Args:
        out: output folder of the recordings.
        fix: whether to create a missing GPU slot.
        verify: whether to compare every byte of all stores.
        progress: called with stores that were compared.
    """
    pins = check_pins()
    from prefect.settings import get_current_settings

    settings, out = get_current_settings(), as_path(out)
    remote = isinstance(out, ObjectPath)
    require_answer(out)
    local = [
        *check_room(*([] if remote else [out]), settings.home),
        *([] if remote else check_writable(out)),
        *check_gpu(),
        *check_shards(out),
        *check_leftovers(out),
        *(check_bytes(out, progress=progress) if verify else []),
    ]
    beat = settings.flows.heartbeat_frequency
    found = ask_server(lambda server: _of_server(server, fix=fix, beat=beat))
    if isinstance(found, NoServer):
        found = [_without_server(found)]
    return [*pins, *local, *found]


def _without_server(server: NoServer) -> Check:
    if not server.address:
        return ok(
            "server", "none is set; every command starts its own, `invae serve` a permanent one"
        )
    found, _, remedy = server.reason.partition("; ")
    return fail("server", found, remedy)


def _of_server(server: Server, *, fix: bool, beat: float | None) -> list[Check]:
    import torch

    return [
        ok("server", f"answers at {server.address}"),
        *check_access(server.address, own=own_addresses()),
        *check_page(server.address),
        *check_schedules(server.client),
        *check_limit(server.client, fix=fix, has_gpu=torch.cuda.is_available()),
        *check_zombies(server.client, own_beat=beat),
    ]
