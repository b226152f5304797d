"""One module per file format of an instrument."""
