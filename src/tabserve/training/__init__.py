"""Honest model selection: splits, candidates, measures and out-of-fold decisions."""
