"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# No example is a failure because the machine is busy, and none is found by luck.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")
