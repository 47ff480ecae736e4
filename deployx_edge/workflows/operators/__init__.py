"""Operators of our own (``ops/``): their cases, and every runtime held against the reference."""
