"""How ncnn's wheel is told to compute."""

from __future__ import annotations

from typing import Any


def configure(net: Any, precision: str, threads: int, *, is_large: bool = False) -> None:
    """Set the options that ``precision`` stands for; ``is_large`` as in ``NcnnModel``."""
    half = precision == "fp16"
    net.opt.num_threads = threads
    # Both hold the image several times more, transformed or as columns: 2.4 GB of a full HD one
    # with 32 channels, which takes 1.3 GB and no more time without them.
    net.opt.use_winograd_convolution = net.opt.use_sgemm_convolution = not is_large
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_packed = half
    net.opt.use_fp16_storage = half
    net.opt.use_fp16_arithmetic = half
    net.opt.use_bf16_packed = precision == "bf16"
    net.opt.use_bf16_storage = precision == "bf16"
