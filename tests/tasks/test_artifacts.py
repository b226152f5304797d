"""Artifacts reach the UI, and a server that is gone costs a warning, not the run."""

import logging
import time

import httpx
import pytest
from markdown_it import MarkdownIt
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.settings import PREFECT_API_URL, temporary_settings

from invae.errors import InputError
from tasks import artifacts
from tasks.failures import failure_of

NOWHERE = "http://127.0.0.1:9/api"


@pytest.fixture(autouse=True)
def _server_answers(monkeypatch):
    monkeypatch.setattr(artifacts._Connection, "silent_until", 0.0)


def inside_a_task(work):
    """Run `work` in a task of a flow."""

    @task
    def do() -> int:
        work()
        return 7

    @flow
    def hold() -> int:
        return do()

    return hold()


def latest(key: str):
    return found_under(key)[0]


def found_under(key: str):
    """All artifacts of a key."""
    only = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=only)


def test_progress_is_one_artifact_that_moves(prefect_server):
    def work():
        live = artifacts.LiveProgress("moves", unit="blocks")
        for done in range(1, 51):
            live(done, 50, "almost")

    inside_a_task(work)
    found = found_under("moves")
    assert len(found) == 1
    assert found[0].data == 100.0
    assert "50 of 50" in (found[0].description or "")
    assert "almost" in (found[0].description or "")


def test_work_that_is_over_soon_tells_of_it_once(prefect_server, monkeypatch):
    def moved(*_: object) -> None:
        raise AssertionError("a second call to the server for work of milliseconds")

    monkeypatch.setattr(artifacts, "update_progress_artifact", moved)

    def work():
        live = artifacts.LiveProgress("soon-over", unit="blocks")
        for done in (1, 2):
            live(done, 2)

    inside_a_task(work)
    assert [one.data for one in found_under("soon-over")] == [100.0]


def test_time_spent_on_telling_the_server_is_counted(prefect_server):
    took, told = [], []

    def work():
        began, before = time.monotonic(), artifacts.seconds_spent()
        artifacts.show_markdown("counted", "text", description="")
        took.append(time.monotonic() - began)
        told.append(artifacts.seconds_spent() - before)

    inside_a_task(work)
    assert 0 < told[0] <= took[0]


def test_a_live_picture_is_replaced(prefect_server):
    def work():
        picture = artifacts.LivePicture("alive", description="a curve")
        picture.show("<svg>1</svg>")
        picture.show("<svg>2</svg>")

    inside_a_task(work)
    assert latest("alive").data == artifacts.data_uri(b"<svg>2</svg>", kind="image/svg+xml")


def test_a_table_holds_values_that_are_not_numbers(prefect_server):
    rows = [{"quantity": "drift", "value": float("nan"), "units": "pixel"}]
    inside_a_task(lambda: artifacts.show_table("table", rows, description="a table"))
    assert "null" in str(latest("table").data)


def test_a_lost_server_costs_one_warning_and_is_not_asked_again_at_once(prefect_server, caplog):
    asked = []

    def ask():
        asked.append("once more")
        httpx.get(NOWHERE)

    def work():
        for _ in range(20):
            artifacts._send(ask)

    with caplog.at_level(logging.WARNING):
        assert inside_a_task(work) == 7
    assert caplog.text.count("the Prefect server does not answer") == 1
    assert len(asked) == 1


def test_outside_of_a_run_nothing_is_sent():
    with temporary_settings({PREFECT_API_URL: NOWHERE}):
        artifacts.LiveProgress("nobody", unit="blocks")(1, 2)
        artifacts.show_markdown("nobody", "text", description="")


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](javascript:alert(1))",
    "![x](http://tracker/pixel.png)",
    "http://login.example",
    "a | b\n| --- |\n# heading",
    "*bold* _it_ `code` ~~gone~~ &lt;b&gt;",
    "1. list",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_of_a_recording_stays_text_where_markdown_is_shown(text):
    """Read as CommonMark with tables and raw HTML allowed, it is one paragraph of the same letters."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tokens = reader.parse(artifacts.one_line_escaped(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    pieces = tokens[1].children
    assert pieces is not None
    assert {piece.type for piece in pieces} <= {"text", "text_special"}
    assert "".join(piece.content for piece in pieces) == " ".join(text.split())


def test_letters_that_a_database_refuses_or_that_turn_a_line_round_are_replaced():
    """PostgreSQL takes no text with a zero in it, and the state of a run would be lost with it."""
    hostile = "a\0b\x1b[31m\u202egnp.\ud800"
    told = "a\ufffdb\ufffd[31m\ufffdgnp.\ufffd"
    assert artifacts.one_line_escaped(hostile) == artifacts.escaped(told)
    assert str(InputError(hostile)) == told
    assert failure_of(InputError(hostile)).reason == told
    assert "\0" not in failure_of(ValueError(hostile)).reason


def test_ordinary_names_stay_as_they_are():
    for name in ("scan_0001.ibw", "PZT final (2) 300 kV", "µ-LED ±0.5 nm", "rtVAE-2@1"):
        assert artifacts.one_line_escaped(name) == name


def test_no_artifact_shows_markup_or_a_secret(prefect_server):
    """Tables, descriptions, progress and pages, all with hostile text."""
    hostile = "<b>x</b> [y](z) http://me:hunter2@store"

    def work():
        artifacts.show_table("hostile-table", [{hostile: hostile}], description=hostile)
        artifacts.LiveProgress("hostile-progress", unit=hostile)(1, 1, hostile)
        artifacts.LivePicture("hostile-picture", description=hostile).show("<svg/>")
        artifacts.show_markdown(
            "hostile-page", artifacts.one_line_escaped(hostile), description=hostile
        )

    inside_a_task(work)
    for name in ("table", "progress", "picture", "page"):
        artifact = latest(f"hostile-{name}")
        told = f"{artifact.data} {artifact.description}"
        assert "hunter2" not in told
        assert "<b>" not in told
        assert "[y](z)" not in told


def test_an_artifact_of_a_flow_needs_no_task(prefect_server):
    @flow
    def show() -> None:
        artifacts.show_markdown("of-a-flow", "words", description="page")

    show()
    assert latest("of-a-flow").data == "words"
