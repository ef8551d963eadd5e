"""The report of a trained model: one page for people to look at."""
