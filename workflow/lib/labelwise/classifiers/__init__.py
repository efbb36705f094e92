"""Classifiers: models that score classes instead of writing text."""
