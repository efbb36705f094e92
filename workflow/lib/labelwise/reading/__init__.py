"""Answers to classes: how texts are worded, embedded and read, also those made elsewhere."""
