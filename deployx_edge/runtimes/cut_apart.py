"""A source cut at tensors, so that what is between them is computed from given values alone.

a ── f ── b ── g ── c      ⇒      a ── f ── b'      b ── g ── c'
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.graph.subgraphs import tensors_read
from deployx_edge.runtimes.runner import Arrays, OpenModel, Producer, take_into
from deployx_edge.sources.onnx.file import prepared
from deployx_edge.sources.onnx.walk import SourceWalk

if TYPE_CHECKING:
    import numpy as np

    from deployx_edge.model import Array

_COMPUTED = "deployx-computed/"


@dataclass(frozen=True, kw_only=True)
class Form:
    """The shape of a tensor and its element type by NumPy's name."""

    shape: tuple[int, ...]
    dtype: str = "float32"


def tensor_forms(
    walk: SourceWalk, producers: Mapping[str, Producer], arrays: Arrays
) -> dict[str, Form]:
    """Those of the source's tensors in float32 which the model makes too."""
    forms: dict[str, Form] = {}

    def watch(tensors: Mapping[str, Array]) -> None:
        for name, array in tensors.items():
            if name in producers and array.dtype == "float32" and array.ndim:
                forms[name] = Form(shape=array.shape)

    walk.run(arrays, watch)
    return {name: forms[name] for name in producers if name in forms}


def own_values(
    model: OpenModel,
    producers: Mapping[str, Producer],
    like: Mapping[str, Form],
    arrays: Arrays,
) -> dict[str, Array]:
    """The model's own values of those tensors, in the source's shapes."""
    found: dict[str, Array] = {}
    model.run(arrays, [producers[name].runtime_name for name in like], take_into(found))
    return {
        name: found[producers[name].runtime_name].reshape(form.shape) for name, form in like.items()
    }


class CutApart:
    """The source cut at tensors, which are read from inputs and computed under other names.

    Only what leads to ``wanted`` is left. ``like`` are the forms of those that are read or wanted,
    ``between`` more tensors that are wanted, which lie between those.
    """

    def __init__(
        self,
        walk: SourceWalk,
        like: Mapping[str, Form],
        wanted: Sequence[str],
        between: Sequence[str] = (),
    ) -> None:
        from onnx import helper

        model = prepared(walk.source)
        graph = model.graph
        needed = tensors_needed(walk, like, wanted)
        kept = [node for node in graph.node if needed.intersection(node.output)]
        read = {name for node in kept for name in tensors_read(node)}
        reads = [name for name in like if name in read]
        self.wanted = tuple(wanted)
        self.like = {name: like[name] for name in dict.fromkeys((*reads, *wanted))}
        for node in kept:
            for index, name in enumerate(node.output):
                if name in like:
                    node.output[index] = f"{_COMPUTED}{name}"
        del graph.node[:]
        graph.node.extend(kept)
        del graph.output[:]
        graph.output.extend(helper.make_empty_tensor_value_info(f"{_COMPUTED}{n}") for n in wanted)
        for name in reads:
            form = like[name]
            kind = helper.np_dtype_to_tensor_dtype(_dtype(form.dtype))
            graph.input.append(helper.make_tensor_value_info(name, kind, form.shape))
        self._reads = reads
        graph.output.extend(helper.make_empty_tensor_value_info(name) for name in between)
        self._between = list(between)
        del graph.value_info[:]
        self._session = open_model(bytes(model.SerializeToString()), folder=walk.source.data_folder)

    def run(self, arrays: Arrays, own: Arrays) -> dict[str, Array]:
        """What the source makes of ``own`` tensors and of the model's inputs."""
        given = {**arrays, **{name: own[name] for name in self._reads}}
        names = [*(f"{_COMPUTED}{name}" for name in self.wanted), *self._between]
        results = self._session.run(names, given)
        return dict(zip((*self.wanted, *self._between), results, strict=True))


def tensors_needed(walk: SourceWalk, like: Collection[str], wanted: Sequence[str]) -> set[str]:
    """The tensors that lead to ``wanted``, not looking before those in ``like``."""
    needed: set[str] = set()
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name in needed or name not in walk.makers:
            continue
        needed.add(name)
        waiting.extend(each for each in tensors_read(walk.makers[name]) if each not in like)
    return needed


def _dtype(name: str) -> np.dtype[Any]:
    import numpy as np

    return np.dtype(name)
