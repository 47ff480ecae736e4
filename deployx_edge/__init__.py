"""deployx-edge: a model goes in, trustworthy numbers from your own board come out."""

from __future__ import annotations

__version__ = "0.1.0"
