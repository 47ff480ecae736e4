"""The words that options of a run take. Apart, as every start of the command line reads them."""

from __future__ import annotations

PRECISIONS = ("fp32", "fp16", "bf16", "int8")
CORES = ("all", "little", "big")
ACCELERATORS = ("cpu", "gpu", "vulkan")
