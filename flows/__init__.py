"""Order of the stages, and the programs around them: command line, watched folders, service."""
