"""A given model → model/."""

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from invae.stages import stages
from invae.storage import store
from invae.storage.location import as_path
from tasks import interrupts, runs
from tasks.kept import keep_results
from tasks.progress import listener


@task(
    task_run_name=runs.run_name("use a given model for {recording}"),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.is_worth_retrying,
)
@runs.names_damage
def use_model(patches: str, model: str) -> State[str]:
    """Link a trained model into a recording's folder, with its own receipt; refused if its patches are of another kind."""
    interrupts.raise_if_interrupted()
    from invae.training.model_folder import refuse_unfit

    source, target = as_path(model), as_path(patches).parent / stages.STAGES["train"].output
    refuse_unfit(source, store.open_store(patches), patches=patches)
    receipt = store.read_receipt(source)
    if receipt is not None and not store.is_current(target, receipt.key):
        keep_results(target.parent, "train", None)
    store.share(source, target)
    listener().end("train", None)
    return Completed(data=str(target), message=f"{source} is used unchanged")
