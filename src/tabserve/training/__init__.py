"""Honest selection: splits, candidates, measures, and what is chosen out of fold."""
