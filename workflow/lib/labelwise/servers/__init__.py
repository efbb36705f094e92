"""Asking models behind a server: requests, replies, when to ask again, and what it costs."""
