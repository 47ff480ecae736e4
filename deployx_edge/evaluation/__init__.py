"""Accuracy on the user's data: what samples there are, and how well a model does on them.

Pure parts: nothing here runs a model, and nothing knows boards.
"""
