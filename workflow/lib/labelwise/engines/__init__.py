"""Engines: how a model is asked."""
