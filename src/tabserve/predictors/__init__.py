"""Trained models, read from files that are not trusted."""
