"""What a model of PyTorch's is called; apart, so that to ask takes nothing of what reads one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXPORTERS = ("dynamo", "torchscript")
EXPORTER_KEY = "deployx-edge.exporter"
"""Says in an ONNX file's metadata what exported it, where that was this tool."""


@dataclass(frozen=True, kw_only=True)
class TorchSource:
    """A model in PyTorch's terms, not yet loaded.

    ``reference``: a ``.pt`` (TorchScript) or ``.pt2`` (torch.export) file, or
    ``package.module:factory``. ``checkpoint`` and ``arguments`` are a factory's;
    ``accept_frozen``: it may give a trace that keeps values.
    """

    reference: str
    checkpoint: Path | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    accept_frozen: bool = False

    @property
    def is_factory(self) -> bool:
        """Whether Python makes the model."""
        return is_factory(self.reference)

    @property
    def name(self) -> str:
        """What a file made of it is called."""
        if self.is_factory:
            return self.reference.rpartition(":")[2].rpartition(".")[2]
        return Path(self.reference).stem


def is_torch(reference: str) -> bool:
    """Whether a model's name means one of PyTorch's."""
    return Path(reference).suffix in (".pt", ".pt2", ".pth", ".jit") or is_factory(reference)


def is_factory(reference: str) -> bool:
    """Whether ``reference`` has the form ``package.module:factory``."""
    module, colon, name = reference.partition(":")
    words = [*module.split("."), *name.split(".")]
    return bool(colon) and all(word.isidentifier() for word in words)
