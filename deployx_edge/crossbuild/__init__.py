"""crossbuild."""
