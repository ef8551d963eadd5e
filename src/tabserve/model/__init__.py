"""The model folder: saved whole, verified whenever it is loaded."""
