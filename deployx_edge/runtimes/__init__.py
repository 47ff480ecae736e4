"""What a runtime is to the rest: the module ``runtimes/<name>`` gives what ``Runtime`` asks for.

``RUNTIMES`` (``deployx_edge.runtime``) lists them; ``load_runtime`` brings one's code in. What
lies here beside them knows converted models and how to compare them, and no runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from deployx_edge.runtime import find_runtime

if TYPE_CHECKING:
    from deployx_edge.runtimes.converter import ConvertedModel, Converter
    from deployx_edge.runtimes.inspected import Inspected
    from deployx_edge.runtimes.macs import LayerWork
    from deployx_edge.runtimes.quantizer import Quantizer
    from deployx_edge.runtimes.runner import Runner
    from deployx_edge.runtimes.setup import Setup
    from deployx_edge.sources.onnx.file import OnnxSource, SourceTensor


class Runtime(Protocol):
    """One runtime. Its module imports nothing heavy before one of these is called."""

    def version(self) -> str:
        """The version of its package on this computer."""
        ...

    def setup(self) -> Setup:
        """What it needs on this computer, and how that is installed."""
        ...

    def converters(self) -> Mapping[str, Callable[[], Converter]]:
        """What writes its files, by name; the usual one comes first."""
        ...

    def make_runner(self) -> Runner:
        """The runtime on this computer."""
        ...

    def make_quantizer(self) -> Quantizer:
        """What makes int8 models for it."""
        ...

    def inspect(self, source: OnnxSource, outputs: Sequence[SourceTensor]) -> Inspected:
        """How each operator of a model will go; nothing is written and nothing refused."""
        ...

    def layer_works(
        self, model: ConvertedModel, outputs: Mapping[str, tuple[int, ...]]
    ) -> Mapping[str, LayerWork]:
        """What layers of a profile are and multiply, as far as it is known; ``outputs`` are the
        dims of each layer's first output as it ran."""
        ...

    def files_of(self, model: Path) -> tuple[Path, ...]:
        """All files of a model in the runtime's own form, the first is ``model``."""
        ...

    def read_own(
        self,
        model: Path,
        shapes: Mapping[str, tuple[int, ...]],
        outputs: Mapping[str, tuple[int, ...]],
    ) -> ConvertedModel:
        """A model in the runtime's own form (``RuntimeFacts.own_suffix``); ``shapes`` by input.

        ``outputs`` are what the user says of its outputs, for files that do not say it.
        Raises ModelError where its files cannot be run.
        """
        ...


def load_runtime(name: str) -> Runtime:
    """The runtime of that name; UsageError where there is none."""
    return cast("Runtime", import_module(f"{__name__}.{find_runtime(name).name}"))
