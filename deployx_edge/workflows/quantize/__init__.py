"""A model in float becomes an int8 bundle."""
