"""Models that look at images: supervised, dual encoders, and encoders that have features alone.

A module ``labelwise.classifiers.ENGINE`` has a class ``Model`` that is made from an entry:

- ``model``: the torch module that looks; ``device``: ``cpu`` or ``cuda``, where its weights are, in
  float32.
- ``transform``: an RGB image to the tensor [3, h, w] that the model takes; its ``repr`` goes into
  the record and into the keys of stored features.
- ``score(batch)``: logits [n, classes] (no columns where the model has no classes) and features
  [n, d], both float32 numpy arrays, of a batch of such tensors. Threads may call it at once.
- ``arrays``: more arrays by name that predictions are made from (a dual encoder's scale and bias).
- ``describe()``: facts for the record of the run.
"""

CLASSIFIERS = ("timm", "open_clip", "features", "conse", "knn", "file")
"""Engines of models that score classes or have features; all others write text."""

LOOKING = ("timm", "open_clip", "features")
"""Engines that look at images by themselves."""
