"""The six stages: what each reads and writes, its key, its receipt; versions of a result."""
