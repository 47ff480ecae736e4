"""What was measured, under which conditions, and the statistics of it.

Values only: nothing here talks to a board or prints.
"""
