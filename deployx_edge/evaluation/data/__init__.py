"""Data sets: what is read of a user's folders and files, sample by sample."""
