"""Labelwise: how good are multimodal LLMs at image classification, as a workflow."""

__version__ = "0.1.0"
