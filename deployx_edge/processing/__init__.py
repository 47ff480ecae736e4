"""Pre- and post-processing: what users write of it, values, and doing it."""
