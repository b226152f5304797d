"""A model from elsewhere → model/."""

from prefect import task
from prefect.client.schemas.objects import State
from prefect.states import Completed

from invae.stages import stages
from invae.storage import store
from invae.storage.location import as_path
from tasks import interrupts, runs
from tasks.progress import audience


@task(
    task_run_name=runs.sentence("take the model that is given for {recording}"),
    retries=runs.RETRIES,
    retry_delay_seconds=runs.RETRY_SECONDS,
    retry_condition_fn=runs.worth_retrying,
)
def adopt(patches: str, model: str) -> State[str]:
    """A trained model beside a recording's patches, with its own receipt; refused if it takes patches of another kind."""
    interrupts.obey()
    from invae.training.model_folder import refuse_unfit

    source, target = as_path(model), as_path(patches).parent / stages.STAGES["train"].output
    refuse_unfit(source, store.open_store(patches), patches=patches)
    store.share(source, target)
    audience().end("train", None)
    return Completed(data=str(target), message=f"{source} is taken as it is")
