"""The report of an active measurement."""
