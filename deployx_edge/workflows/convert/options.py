"""How a bundle is made; apart, so that asking for one that is there imports no converter."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from deployx_edge.runtime import DEFAULT_RUNTIME
from deployx_edge.workflows.convert.models import TorchOptions


@dataclass(frozen=True, kw_only=True)
class BundleOptions:
    """How a bundle is made.

    ``runtime``: one of ``RUNTIMES``, None for the usual one or what the files already are for;
    ``converter`` one of its converters (None: the first).
    ``precision``: "fp32", "fp16", "bf16", or None for the converter's usual one (mostly fp32), or
    for what the files already are. ``soc``: the chip that files are for, None for the usual one.
    ``input_shapes``: ``NAME:1x3x224x224`` for inputs with dynamic axes or another shape,
    ``NAME=16000`` for inputs with a fixed value, see ``model.parse_inputs``. ``output_shapes``:
    ``NAME:1x1000`` for outputs of files that do not tell theirs. ``preprocess`` and
    ``postprocess``: see ``preprocessing``; where empty, what the preset ``like`` proposes, or what
    the ONNX file says in its metadata.
    ``samples``: ``.npz`` files or images to compare on, beside the inputs made up for it.
    ``verify`` False skips the comparison with the source, and ``accept_unproven`` accepts
    outputs that hardly depend on the input; the manifest records either. ``keep_float`` names
    layers that stay fp32 where the rest has 16 bits. ``allow_fallback`` takes nodes that the
    runtime leaves to the processor, and the manifest names them; of a runtime that leaves none it
    says nothing. ``name``: the bundle's, None for the file's.
    """

    runtime: str | None = None
    precision: str | None = None
    input_shapes: tuple[str, ...] = ()
    output_shapes: tuple[str, ...] = ()
    preprocess: tuple[str, ...] = ()
    postprocess: tuple[str, ...] = ()
    like: str | None = None
    samples: tuple[Path, ...] = ()
    verify: bool = True
    accept_unproven: bool = False
    keep_float: tuple[str, ...] = ()
    name: str | None = None
    converter: str | None = None
    soc: str | None = None
    allow_fallback: bool = False
    torch: TorchOptions = field(default_factory=TorchOptions)

    @property
    def chosen_runtime(self) -> str:
        """The runtime that a model is converted for."""
        return self.runtime or DEFAULT_RUNTIME
