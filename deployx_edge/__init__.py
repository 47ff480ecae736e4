"""deployx-edge: a model goes in, trustworthy numbers from your own board come out."""

from __future__ import annotations

import os

__version__ = "0.1.0"

# ONNX Runtime would write an identifier of this computer below the user's cache folder and send
# figures to its maker. It reads this when it is loaded, in the programs that we start too.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
