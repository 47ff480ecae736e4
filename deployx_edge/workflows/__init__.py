"""The stories: what happens, in order, when a person asks for one thing.

Everything that a command does can be called from here, with the same values.
"""
