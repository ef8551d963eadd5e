"""A cell becomes a number, or is refused: the same in training and in serving."""
