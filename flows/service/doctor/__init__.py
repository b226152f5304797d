"""Checks of the machine, the stores and the Prefect server."""
