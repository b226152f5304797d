"""Models of pairs: members and their weights, prediction with intervals, folders, the stages of a run."""
