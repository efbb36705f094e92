"""Labelwise: how good are multimodal LLMs at image classification, as a workflow."""

__version__ = "1.0.0"
