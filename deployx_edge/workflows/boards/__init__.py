"""Boards: who has them, what fits them, a session on one."""
