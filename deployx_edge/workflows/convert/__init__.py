"""A model becomes a bundle that is known to be right."""
