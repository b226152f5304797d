"""How fast the stages are, beside what this machine can do at best."""
