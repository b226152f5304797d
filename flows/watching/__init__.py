"""Watched folders: new recordings settle, get one run each, and failures are judged."""
