"""Studies of one's own: ``labelwise init`` and ``labelwise example``."""
