"""One scan of a folder for new recordings, by a schedule or by hand."""

from prefect import flow

from flows.watching.polling import scan_until_settled
from invae.config import WatchConfig


@flow(flow_run_name="watch {config.folder}")
def watch(config: WatchConfig) -> str:
    """Start one run for every new recording in a folder, and update the ledger with the runs that have ended.

    Args:
        config: watched folder, output folder and settings of watching.
    """
    return scan_until_settled(config)
