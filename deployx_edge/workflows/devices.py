"""Which devices there are without asking any of them."""

from __future__ import annotations

from deployx_edge.config import load_config
from deployx_edge.device import Device
from deployx_edge.resources import host_target_id
from deployx_edge.target import targets


def known_devices() -> list[Device]:
    """Those of ``deployx.toml``, then this computer, then an emulated one for each target."""
    named = list(load_config().devices.values())
    virtual = [Device(name=f"virtual:{id}", uri=f"virtual:{id}", target=id) for id in targets()]
    return [*named, Device(name="local:", uri="local:", target=host_target_id()), *virtual]
