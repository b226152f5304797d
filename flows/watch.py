"""New recordings in a folder: one scan, made by a schedule or by hand."""

from prefect import flow

from flows.watching.polling import scan_until_settled
from invae.config import WatchConfig


@flow(flow_run_name="watch {config.folder}")
def watch(config: WatchConfig) -> str:
    """Give every new recording in a folder its run, once; judge the runs that have ended.

    Args:
        config: what is watched, and how patiently.
    """
    return scan_until_settled(config)
