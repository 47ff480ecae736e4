"""The chips that rknn-toolkit2 makes models for."""

from __future__ import annotations

# Which of the toolkit's platforms a chip is, by the names that people have for chips.
PLATFORMS = {
    "rk3588": "rk3588",
    "rk3588s": "rk3588",
    "rk3576": "rk3576",
    "rk3566": "rk3566",
    "rk3568": "rk3568",
    "rk3562": "rk3562",
    "rv1126b": "rv1126b",
    "rv1106": "rv1106",
}
# Their NPUs have no half floats: models are int8.
INT8_ONLY = ("rv1106",)
