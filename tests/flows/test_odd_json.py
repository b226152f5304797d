"""Whatever is in a file that is read back as JSON, the reading command has one line, and the other items are as before."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.damage import finished_run
from benchmarks.standstills.odd_json import odd_contents
from flows.service.doctor.stores import check_leftovers, check_shards
from flows.service.status import overview
from flows.watching import ledger
from flows.watching.ledger import Entry, utc_now
from invae import results
from invae.errors import InvaeError
from invae.results import reading
from invae.storage import manifest, store
from invae.training import model_folder
from tasks.recording_folder import read_record

FIELDS = 3
"""Fields of every file that get another value."""

FILES = (
    "run.json",
    "model/history.json",
    "model/manifest.json",
    "model/model.json",
    "model/receipt.json",
    "model/split.json",
    "model/symptoms.json",
    "report/manifest.json",
    "report/receipt.json",
    "recording.zarr/zarr.json",
    "recording.zarr/_manifest/zarr.json",
    "result.zarr/zarr.json",
)


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """An output folder with two finished recordings, `domains` and `other`."""
    folder = finished_run(tmp_path_factory.mktemp("odd"))
    (folder / "run.json").write_text(json.dumps(read_record(folder) or {"paths": ["/x.npy"]}))
    shutil.copytree(folder, folder.with_name("other"), symlinks=True)
    return folder.parent


def one_line(call: Callable[[], object]) -> None:
    """Call; an error is one of ours, in one line."""
    manifest._compared.clear()
    said = ""
    try:
        call()
    except (InvaeError, OSError) as error:
        said = str(error)
    assert "\n" not in said, said


def readings(folder: Path) -> Iterator[Callable[[], object]]:
    """What commands read in the folder of a recording."""
    for name in ("recording.zarr", "result.zarr", "model", "report"):
        yield lambda name=name: manifest.check_bytes(folder / name)
        yield lambda name=name: results.info(folder / name)
        yield lambda name=name: store.is_current(folder / name, "key")
    yield lambda: read_record(folder)
    yield lambda: model_folder.load(folder / "model")
    for name in ("recording.zarr", "result.zarr"):
        yield lambda name=name: store.open_store(folder / name)
        yield lambda name=name: reading.groups_of(folder / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_an_odd_file_is_one_line_and_the_others_are_as_before(out, name, no_server):
    file = out / "domains" / name
    sound = file.read_bytes()
    others = [each for each in overview(out).recordings if each.recording == "other"]
    assert [each.state for each in others] == ["done"]
    try:
        for what, content in odd_contents(sound, n_fields=FIELDS, seed=1):
            file.write_bytes(content)
            for read in readings(out / "domains"):
                one_line(read)
            states = {each.recording: each for each in overview(out).recordings}
            assert states["other"] == others[0], what
            for check in (*check_shards(out), *check_leftovers(out)):
                assert "\n" not in check.found, (what, check)
    finally:
        file.write_bytes(sound)


@pytest.fixture
def no_server(monkeypatch) -> None:
    """No server is asked: it would cost seconds for every file."""
    from flows.service import status
    from flows.service.doctor.reachable import NoServer

    monkeypatch.setattr(status, "ask_server", lambda _: NoServer("", "none"))


def test_an_odd_ledger_costs_nothing_but_its_own_lines(tmp_path):
    path = ledger.path_of(tmp_path)
    sound = Entry("sound", ("/box/sound.npy",), "d", "done", utc_now())
    odd = json.dumps({**vars(sound), "recording": "odd", "files": ["/box/odd.npy"]}).encode()
    for what, content in odd_contents(odd, n_fields=200, seed=2):
        path.unlink(missing_ok=True)
        ledger.write(tmp_path, [sound])
        with path.open("ab") as file:
            file.write(content.replace(b"\n", b" ") + b"\n")
        found = {entry.key: entry for entry in ledger.read(tmp_path)}
        assert found.get(sound.key) == sound, what
        assert all("\n" not in entry.recording for entry in found.values()), what


def test_an_odd_record_of_a_run_is_read_as_far_as_it_is_sound(tmp_path):
    times = {"ingest": {"finished": "2026-01-01T00:00:00+00:00", "seconds": 1.0}}
    record = {"paths": ["/box/a.npy"], "source_sha256": ["ab"], "stages": times, "config": {}}
    for what, content in odd_contents(json.dumps(record).encode(), n_fields=200, seed=3):
        (tmp_path / "run.json").write_bytes(content)
        found = read_record(tmp_path)
        assert isinstance(found, dict), what
        assert isinstance(found.get("paths", []), list), what
