"""One module per command of `invae`."""
