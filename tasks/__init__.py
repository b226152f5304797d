"""One Prefect task per stage: retries, progress, locks, the record of a run."""
