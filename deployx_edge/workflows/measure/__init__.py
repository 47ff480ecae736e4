"""How fast a bundle runs, what it gives, and where that differs."""
