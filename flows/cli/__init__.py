"""The `invae` command: options, output in the terminal, named configurations."""
