"""The verdict on a result: findings in plain words, each green, amber or red, from numbers of the training."""
