"""Ensembles: the same model from several seeds, brought to the same words, and where they disagree."""
