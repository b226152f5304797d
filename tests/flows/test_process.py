"""The flow from file to report: complete, not repeated, and seen in the UI."""

import json
import shutil
import time
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State

from flows.process import process
from invae.errors import InputError
from invae.stages import stages
from tasks.progress import reporting_to
from tasks.runs import RUN_NAMES


class Diary:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.kept: list[str] = []
        self.moves: dict[str, list[tuple[int, int]]] = {}

    def begin(self, stage: str) -> None:
        self.moves[stage] = []

    def advance(self, stage: str, done: int, total: int, note: str) -> None:
        self.moves[stage].append((done, total))

    def end(self, stage: str, seconds: float | None) -> None:
        (self.kept if seconds is None else self.made).append(stage)


@pytest.fixture
def copy(undisturbed, tmp_path):
    """The finished run, to be changed."""
    shutil.copytree(undisturbed.out, tmp_path / "results")
    return tmp_path / "results"


def rerun(run, out, config) -> Diary:
    diary = Diary()
    with reporting_to(diary):
        process([str(run.source)], str(out), config)
    return diary


def test_every_store_is_there_with_the_planned_key(undisturbed):
    plan = stages.plan(
        undisturbed.folder, stages.sources_of([undisturbed.source]), undisturbed.config
    )
    assert all(step.current for step in plan)
    visible = {p.name for p in undisturbed.folder.iterdir() if not p.name.startswith(".")}
    assert visible == {stage.output for stage in stages.STAGES.values()} | {"run.json"}
    assert (undisturbed.folder / "report" / "index.html").is_file()


def test_the_record_says_what_ran_when_and_for_how_long(undisturbed):
    record = json.loads((undisturbed.folder / "run.json").read_text())
    assert list(record["stages"]) == list(stages.STAGES)
    assert all(made["seconds"] > 0 and made["flow_run"] for made in record["stages"].values())
    assert record["config"] == undisturbed.config.model_dump(mode="json")
    assert record["sources"] == [undisturbed.source.name]


def test_nothing_is_made_again_when_nothing_has_changed(undisturbed, copy):
    state: State = process(
        [str(undisturbed.source)], str(copy), undisturbed.config, return_state=True
    )
    assert state.is_completed()
    run = state.state_details.flow_run_id
    assert run is not None
    only = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
    end = time.monotonic() + 60
    with get_client(sync_client=True) as client:
        runs = client.read_task_runs(flow_run_filter=only)
        # the server learns of states by events, a moment later
        while {run.state_name for run in runs} != {"Cached"} and time.monotonic() < end:
            time.sleep(0.2)
            runs = client.read_task_runs(flow_run_filter=only)
    assert {run.state_name for run in runs} == {"Cached"}
    assert any(run.name == "train a model on domains" for run in runs)


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({"report": {"dpi": 60}}, ["report"]),
        ({"analyse": {"max_clusters": 1}}, ["analyse", "report"]),
    ],
    ids=["report", "analyse"],
)
def test_only_what_a_change_touches_is_made_again(undisturbed, copy, change, made):
    values = undisturbed.config.model_dump(mode="json")
    for section, settings in change.items():
        values[section] |= settings
    diary = rerun(undisturbed, copy, type(undisturbed.config).model_validate(values))
    assert diary.made == made
    assert diary.kept == [name for name in stages.STAGES if name not in made]


def test_a_stage_whose_store_was_deleted_is_made_again(undisturbed, copy):
    shutil.rmtree(copy / undisturbed.folder.name / "embedding.zarr")
    assert rerun(undisturbed, copy, undisturbed.config).made == ["embed"]


def test_progress_goes_from_little_to_all(undisturbed, copy):
    shutil.rmtree(copy / undisturbed.folder.name / "descriptors.zarr")
    moves = rerun(undisturbed, copy, undisturbed.config).moves["describe"]
    assert moves == sorted(moves)
    assert moves[-1][0] == moves[-1][1]


def test_tables_progress_and_pictures_are_in_the_ui(undisturbed):
    record = json.loads((undisturbed.folder / "run.json").read_text())
    run = FlowRunFilterId(any_=[UUID(record["stages"]["report"]["flow_run"])])
    with get_client(sync_client=True) as client:
        artifacts = client.read_artifacts(flow_run_filter=FlowRunFilter(id=run), limit=200)
    kinds = {(artifact.key, artifact.type) for artifact in artifacts}
    found = {artifact.key: artifact for artifact in artifacts}
    assert len(kinds) == len(found), "a key stands for one thing"
    assert {"domains-summary", "domains-training", "domains-page"} <= set(found)
    assert {f"domains-{stage}" for stage in stages.STAGES} <= set(found)
    assert str(found["domains-training"].data).startswith("data:image/svg+xml;base64,")
    pictures = [a for a in artifacts if a.type == "image" and "image/png" in str(a.data)[:20]]
    assert len(pictures) >= 3
    progress = next(a for a in artifacts if a.key == "domains-train" and a.type == "progress")
    assert progress.data == 100.0
    assert (progress.description or "").startswith("train a model on domains: 3 of 3")
    page = str(found["domains-page"].data)
    assert page.count("](data:image/png;base64,") >= 10, "the report needs no other file"
    assert 0 < page.index("## Content on the image") < page.index("## Recorded signals"), (
        "latent maps come first"
    )
    table = json.loads(str(found["domains-recording"].data))
    stages_told = [row["what"] for row in table][2:]
    assert stages_told == [RUN_NAMES[stage].format(recording="domains") for stage in stages.STAGES]


def test_a_task_that_fails_makes_the_flow_fail(prefect_server, config, tmp_path):
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"not an array")
    with pytest.raises(InputError, match=r"broken\.npy"):
        process([str(broken)], str(tmp_path / "out"), config)
    assert not (tmp_path / "out" / "broken").exists()
