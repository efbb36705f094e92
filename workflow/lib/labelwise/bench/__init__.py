"""Benchmarks: ``python -m labelwise.bench NAME [options]``, one module each."""
