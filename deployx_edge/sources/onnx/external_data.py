"""Weights that lie in files beside a model, also where these are links to other places."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError
from deployx_edge.graph.subgraphs import graphs_in
from deployx_edge.sources.placeholders import refuse_placeholder

if TYPE_CHECKING:
    import onnx


_MOST_LINKS = 40  # Linux follows no more


@dataclass(frozen=True, kw_only=True)
class ExternalData:
    """Where a model's weights lie: the ``files``, and the ``folder`` that locations start from.

    ``moved``: the locations in the model were written anew, as they led through links.
    """

    folder: Path
    files: tuple[Path, ...] = ()
    moved: bool = False


def find_external_data(path: Path, model: onnx.ModelProto) -> ExternalData:
    """The files beside the model at ``path``; its locations then name them without links.

    A hub's cache keeps ``model.onnx`` and ``model.onnx_data`` as links into a folder of contents.
    ONNX Runtime takes such weights only where no link leads out of the folder that it is given.
    Raises ModelError for a file that is missing, or that ends before a tensor in it does.
    """
    external = [tensor for tensor in _tensors(model) if tensor.data_location == tensor.EXTERNAL]
    places = {location: _place(path, location) for location in map(_location, external)}
    for place in set(places.values()):
        refuse_placeholder(place)
    for tensor in external:
        _check_size(path, tensor, places[_location(tensor)])
    beside = path.absolute().parent
    files = tuple(sorted(set(places.values())))
    real = {location: place.resolve() for location, place in places.items()}
    if all(real[location] == (beside.resolve() / location) for location in real):
        return ExternalData(folder=path.parent, files=files)
    folder = Path(os.path.commonpath([place.parent for place in real.values()]))
    for tensor in external:
        entry = next(entry for entry in tensor.external_data if entry.key == "location")
        entry.value = real[entry.value].relative_to(folder).as_posix()
    return ExternalData(folder=folder, files=files, moved=True)


def _location(tensor: onnx.TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _place(path: Path, location: str) -> Path:
    """The file that a location names: beside the model, or beside what a link to it leads to."""
    parts = PurePosixPath(location).parts
    if not parts or location.startswith("/") or ".." in parts:
        raise ModelError(
            f"{path.name} keeps its weights in '{location}', which is not beside it.",
            remedy="Save it again with its weights in the same folder.",
        )
    for folder in _folders(path):
        if (folder / location).is_file():
            return folder / location
    raise ModelError(
        f"{path.name} keeps its weights in '{location}', which is not beside it.",
        remedy="Copy that file as well.",
    )


def _folders(path: Path) -> Iterator[Path]:
    """That of the model, and where it is a link, that of each file on the way to its content."""
    yield path.parent
    for _ in range(_MOST_LINKS):
        if not path.is_symlink():
            return
        path = path.parent / path.readlink()
        yield path.parent


def _check_size(path: Path, tensor: onnx.TensorProto, place: Path) -> None:
    said = {entry.key: entry.value for entry in tensor.external_data}
    end = int(said.get("offset", 0)) + int(said.get("length", 0))
    size = place.stat().st_size
    if end > size:
        raise ModelError(
            f"The weights of {path.name} in '{place.name}' are not whole: '{tensor.name}' ends at "
            f"byte {end}, the file has {size} bytes.",
            remedy="Copy or download that file again.",
        )


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from _in_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _in_node(node)


def _in_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        yield from _in_node(node)


def _in_node(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for entry in node.attribute:
        if entry.HasField("t"):
            yield entry.t
        yield from entry.tensors
    for graph in graphs_in(node):
        yield from _in_graph(graph)
