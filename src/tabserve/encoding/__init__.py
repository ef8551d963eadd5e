"""Encode the cells of columns as numbers, or refuse them; the same in training and in serving."""
