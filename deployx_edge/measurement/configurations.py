"""What a result is of: two results are compared only where all of this is equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# How a field is called to people; None there is "not told" (by a file of an earlier version, or by
# a runtime).
_FIELDS = {
    "model": "model",
    "inputs": "inputs",
    "runtime": "runtime",
    "device": "device",
    "target": "target",
    "chip": "chip",
    "emulated": "emulation",
    "threads": "threads",
    "cores": "cores",
    "accelerator": "accelerator",
    "precision": "precision",
    "precision_that_ran": "precision that ran",
    "switches": "runtime options",
    "batch": "batch",
    "pause": "pause",
    "feed_back": "outputs fed back",
    "build_type": "build type",
}
_COMMON_OPTIONS = ("threads", "cores", "accelerator", "precision")


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """The model, where it ran and how. ``switches`` are the runtime's own options that were given.

    Versions and the bundle's content are left out: they are what is mostly compared.
    """

    model: str
    inputs: str | None
    runtime: str
    device: str
    target: str
    chip: str
    emulated: bool
    threads: int
    cores: str
    accelerator: str
    precision: str
    precision_that_ran: str | None
    switches: str
    batch: int | None
    pause: float
    feed_back: str
    build_type: str

    @property
    def untold(self) -> tuple[str, ...]:
        """The names of what the file of this configuration does not say."""
        return tuple(text for name, text in _FIELDS.items() if getattr(self, name) is None)


def differences(new: Configuration, old: Configuration) -> tuple[str, ...]:
    """Each difference in words, e.g. "threads 1 instead of 4"; what is not told is none."""
    found = []
    for name, text in _FIELDS.items():
        now, before = getattr(new, name), getattr(old, name)
        if now != before and None not in (now, before):
            found.append(f"{text} {_shown(before)} instead of {_shown(now)}")
    return tuple(found)


def nearest(wanted: Configuration, known: Sequence[Configuration]) -> Configuration:
    """That of ``known`` with the fewest differences; of equals the first."""
    return min(known, key=lambda other: len(differences(wanted, other)))


def configuration_of(result: Mapping[str, Any]) -> Configuration:
    """That of a result as it stands in a file; KeyError where it is none."""
    device, options = result["device"], result["options"]
    board = device["board"]
    inputs = result["model"].get("inputs")
    return Configuration(
        model=str(result["model"]["name"]),
        inputs=None if inputs is None else ", ".join(map(str, inputs)),
        runtime=str(result["model"]["runtime"]),
        device=str(device["name"]),
        target=str(device["target_id"]),
        chip=str(board["cpu_model"] or board["soc"] or board["machine"]),
        emulated=bool(board["emulated"]),
        threads=int(result["load"]["threads"]),
        cores=str(options["cores"]),
        accelerator=str(options["accelerator"]),
        precision=str(options["precision"]),
        precision_that_ran=result["precision_that_ran"],
        switches=_switches(options),
        batch=None if result.get("batch") is None else int(result["batch"]),
        pause=float(result["plan"]["pause_seconds"]),
        feed_back=", ".join(
            f"{feed['output']}={feed['input']}" for feed in result["plan"].get("feed_back", ())
        ),
        build_type=str(device["agent"]["build_type"]),
    )


def _switches(options: Mapping[str, Any]) -> str:
    named = options.get("named")
    if named is None:  # of an earlier version
        given = {k: v for k, v in options.items() if k not in _COMMON_OPTIONS and v is not None}
        named = {name: "on" if value else "off" for name, value in given.items()}
    return " ".join(f"{name}={value}" for name, value in named.items())


def _shown(value: object) -> str:
    return {"": "none", "True": "yes", "False": "no"}.get(str(value), str(value))
