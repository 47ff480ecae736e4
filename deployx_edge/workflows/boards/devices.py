"""Which devices there are without asking any of them."""

from __future__ import annotations

from deployx_edge.config import load_config
from deployx_edge.device import Device
from deployx_edge.errors import UsageError
from deployx_edge.resources import host_target_id
from deployx_edge.target import targets


def chosen_devices(words: str | None, everyone: bool) -> list[Device]:
    """What ``--device`` and ``--all`` say; UsageError where they say nothing, or both."""
    config = load_config()
    if everyone:
        if words is not None:
            raise UsageError("--all means every device; --device beside it says something else.")
        if not config.devices:
            raise UsageError(
                "--all means every device of deployx.toml, and there is none.",
                remedy="Name one: deployx-edge devices add NAME ssh:user@host",
            )
        return list(config.devices.values())
    if words is None:
        raise UsageError(
            "No board was named.",
            remedy="Add --device NAME, or try without a board: --device virtual:linux-arm64",
        )
    return config.find_devices(words)


def known_devices() -> list[Device]:
    """Those of ``deployx.toml``, then this computer, then an emulated one for each target."""
    named = list(load_config().devices.values())
    virtual = [Device(name=f"virtual:{id}", uri=f"virtual:{id}", target=id) for id in targets()]
    return [*named, Device(name="local:", uri="local:", target=host_target_id()), *virtual]
