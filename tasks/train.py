"""descriptors.zarr → model/."""

import math
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task
from prefect.client.schemas.objects import State

from invae.config import ProcessConfig
from invae.config.model_kinds import model_kind_of
from invae.config.pairs import PairsModelConfig
from invae.storage.location import as_path
from tasks import gpu_slot, runs
from tasks.curve import LiveCurve
from tasks.kept import keep_replaced

if TYPE_CHECKING:
    from invae.training.history import Epoch

ELBO = "elbo"


@task(
    task_run_name=runs.run_name(runs.RUN_NAMES["train"]),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def train(patches: str, config: ProcessConfig) -> State[str]:
    """Fit the model to the patches; resuming from the last checkpoint gives the values of an uninterrupted run."""
    return _fit(runs.job_of("train", patches, config), as_path(patches).absolute())


@task(
    task_run_name="train one model on {patches}",
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def train_together(patches: list[str], model: str, config: ProcessConfig) -> State[str]:
    """Fit one model to the patches of several recordings, in the order of their stores."""
    paths = [as_path(path).absolute() for path in patches]
    return _fit(runs.job_of_several(paths, as_path(model).absolute(), config), paths)


def _fit(requested: runs.Job, patches: Path | list[Path]) -> State[str]:
    if requested.is_done:
        return requested.unchanged()
    keep_replaced(requested)
    from invae.training.device import one_thread

    fit = model_kind_of(requested.config.model).function("train")
    curve = LiveCurve(requested.folder.name, measure=measure_of(requested.config))
    with gpu_slot.with_batch_that_fits(requested, section="training") as job, one_thread():

        def follow(epoch: "Epoch") -> None:
            curve.add(**values_of(epoch))
            job.note = note_of(epoch)

        fit(
            patches,
            job.target,
            model=job.config.model,
            training=job.config.training,
            seed=job.config.seed,
            receipt=job.receipt,
            compute=job.config.compute,
            progress=job.progress(),
            on_epoch=follow,
        )
    curve.draw()
    return job.finished()


def measure_of(config: ProcessConfig) -> str:
    """What the training curve shows."""
    return "log-likelihood" if isinstance(config.model, PairsModelConfig) else "ELBO"


def values_of(epoch: "Epoch") -> dict[str, float]:
    """The values of an epoch for the training curve; the loss of models of pairs is no log-likelihood and stays out."""
    held_out = epoch.held_out.get(epoch.measure, math.nan)
    training = epoch.training[epoch.measure] if epoch.measure == ELBO else math.nan
    return {"training": training, "held_out": held_out}


def note_of(epoch: "Epoch") -> str:
    """The epoch's score in words."""
    if epoch.measure == ELBO:
        return f"ELBO {epoch.score:.4g} nats"
    return (
        f"log-likelihood {epoch.score:.4g} nats"
        if epoch.held_out
        else f"loss {-epoch.score:.4g} nats"
    )
