"""A batch that does not fit into the memory of the device is halved, and the result says so.

There need be no GPU: what PyTorch raises when memory is full is raised here above a number of values.
"""

import shutil
from pathlib import Path

import pytest

from flows.process import process
from invae.config import named
from invae.errors import OutOfMemory
from invae.stages import stages
from invae.stages.compare import differences
from invae.storage import store
from invae.storage.provenance import Receipt
from tasks.recording_folder import read_record
from tasks.train import train
from tests.invae.training.little_memory import Memory

ASKED, FITS = 16, 8


def receipt_of(folder: Path, stage: str) -> Receipt:
    receipt = store.read_receipt(folder / stages.STAGES[stage].output)
    assert receipt is not None
    return receipt


@pytest.fixture
def asked(config):
    return named.amended(config, [f"training.batch_size={ASKED}"])


@pytest.fixture
def folder(undisturbed, tmp_path) -> Path:
    """The finished run without its model."""
    copied = tmp_path / "out" / undisturbed.folder.name
    shutil.copytree(undisturbed.folder, copied)
    shutil.rmtree(copied / "model")
    return copied


@pytest.fixture
def half(undisturbed, asked, tmp_path):
    """What half of the batch makes when it is asked for, and the memory that it takes."""
    copied = tmp_path / "half" / undisturbed.folder.name
    copied.mkdir(parents=True)
    shutil.copytree(undisturbed.folder / "descriptors.zarr", copied / "descriptors.zarr")
    config = named.amended(asked, [f"training.batch_size={FITS}"])
    with Memory() as memory:
        train.fn(str(copied / "descriptors.zarr"), config)
    return copied, memory.most


def test_half_the_batch_is_what_the_result_says_and_what_it_was_made_with(
    undisturbed, asked, folder, half
):
    same, most = half
    sources, out = [str(undisturbed.source)], str(folder.parent)
    with Memory(most):
        process(sources, out, asked)
    made = receipt_of(folder, "train")
    assert made.config["training"]["batch_size"] == FITS
    assert made.key == receipt_of(same, "train").key
    assert made.asked != made.key
    assert made.asked == stages.receipt_of(stages.STAGES["train"], folder, asked).key
    assert not differences(same, folder, outputs=["model"])
    said = read_record(folder)["stages"]["train"]
    assert (said["batch_size"], said["batch_size_asked"]) == (FITS, ASKED)
    assert receipt_of(folder, "embed").inputs["train"] == made.key
    plan = stages.plan(folder, stages.sources_of([undisturbed.source]), asked)
    assert all(step.current for step in plan), "nothing is left to be made of what was asked for"
    assert not list(folder.glob(".*.json"))


def test_without_prefect_the_next_attempt_takes_half(asked, folder, half):
    patches = str(folder / "descriptors.zarr")
    message = rf"a batch of {ASKED} does not fit .* training\.batch_size={FITS}"
    with Memory(half[1]):
        with pytest.raises(OutOfMemory, match=message):
            train.fn(patches, asked)
        train.fn(patches, asked)
    assert receipt_of(folder, "train").key == receipt_of(half[0], "train").key


def test_another_batch_that_is_asked_for_is_tried_as_it_is(asked, folder, half):
    """What was refused of one setting says nothing of another."""
    patches = str(folder / "descriptors.zarr")
    with Memory(half[1]), pytest.raises(OutOfMemory):
        train.fn(patches, asked)
    other = named.amended(asked, ["training.batch_size=12"])
    train.fn(patches, other)
    assert receipt_of(folder, "train").config["training"]["batch_size"] == 12
    assert receipt_of(folder, "train").asked == ""
