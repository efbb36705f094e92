"""People correct labels: which images they see, the page, its store, and what decisions change."""
