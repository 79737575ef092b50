"""A repository as data to train a model on, elsewhere: what may be in it, cut into examples, no two alike."""
