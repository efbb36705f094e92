"""Images, names and labels: where they come from, and the forms in which they come."""
