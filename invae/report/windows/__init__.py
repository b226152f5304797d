"""The report of windows on a square grid."""
