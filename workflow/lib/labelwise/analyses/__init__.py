"""Analyses of an experiment: numerics, wording and layout, label sets; one module a kind."""
