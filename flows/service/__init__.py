"""One machine beside an instrument: Prefect server, runs, schedules, status."""
