"""Run a model on a board on inputs of the user's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy

from deployx_edge.agent.client import InputTensor
from deployx_edge.bundle import Bundle
from deployx_edge.errors import UsageError
from deployx_edge.measurement.values import Limits, RunOptions
from deployx_edge.model import TensorSpec, from_runtime_array, is_input_shape, to_runtime_arrays
from deployx_edge.preprocessing import load_picture
from deployx_edge.runtimes.emitter.names import readable
from deployx_edge.workflows.bench import loaded
from deployx_edge.workflows.progress import Runs, Stage
from deployx_edge.workflows.session import Session

Arrays = dict[str, numpy.ndarray]


def run(
    session: Session,
    bundle: Bundle,
    inputs: Mapping[str, numpy.ndarray],
    *,
    options: RunOptions | None = None,
    limits: Limits | None = None,
    dump: Sequence[str] = (),
) -> Arrays:
    """The model's outputs for ``inputs``, named and shaped like the source model's.

    The batch axis of the inputs may hold any number of samples: each is sent by itself,
    with several in flight, and the outputs are put together again along theirs.
    Arrays named like no input are left aside. ``dump`` names tensors inside the model, by
    the names of its blobs: they are given as ncnn has them, without a batch axis for one
    sample and with one in front for several.
    """
    samples = split_samples(bundle, inputs)
    session.push(bundle)
    collected: dict[str, list[numpy.ndarray]] = {spec.name: [] for spec in bundle.outputs}
    inside: dict[str, list[numpy.ndarray]] = {name: [] for name in dump}
    blobs = dict.fromkeys([*(spec.blob for spec in bundle.outputs), *map(readable, dump)])
    with loaded(session, bundle, options or RunOptions(), limits or Limits(), tuple(blobs)) as load:
        session.progress(Stage(text=f"Running {len(samples)} samples"))
        requests = (_tensors(bundle, sample) for sample in samples)
        for reply in session.client.infer(load.model_id, requests):
            for spec in bundle.outputs:
                collected[spec.name].append(from_runtime_array(spec, reply.outputs[spec.blob]))
            for name, arrays in inside.items():
                arrays.append(reply.outputs[readable(name)])
            done = reply.sequence + 1
            session.progress(Runs(done=done, expected=len(samples), last_ns=reply.compute_ns))
    dumped = {
        name: parts[0] if len(parts) == 1 else numpy.stack(parts) for name, parts in inside.items()
    }
    outputs = {
        spec.name: _joined(spec, collected[spec.name], len(samples)) for spec in bundle.outputs
    }
    return {**dumped, **outputs}


def split_inputs(words: Sequence[str]) -> tuple[list[str], list[Path]]:
    """The words that give an input's shape (``NAME:1x3x224x224``), and the files.

    A file that is really called so stays a file. Raises UsageError where no file is given.
    """
    shapes = [word for word in words if is_input_shape(word) and not Path(word).exists()]
    files = [Path(word) for word in words if word not in shapes]
    if not files:
        raise UsageError(
            "Only shapes were given, nothing to run on.",
            remedy="Add --input FILE.npz or a picture.",
        )
    return shapes, files


def read_inputs(bundle: Bundle, paths: Sequence[Path]) -> Arrays:
    """Arrays from ``.npz`` files, and pictures through the bundle's pre-processing.

    Several pictures become samples along the batch axis, in the order given.
    Raises UsageError for a file that is neither, or that cannot be read.
    """
    arrays: Arrays = {}
    pictures: dict[str, list[numpy.ndarray]] = {}
    for path in paths:
        if path.suffix.lower() == ".npz":
            arrays.update(_read_npz(path))
            continue
        if len(bundle.preprocessing) != 1:
            raise UsageError(
                f"{path} is not an .npz file, and the bundle {bundle.name} does not say how a "
                "picture becomes its input.",
                remedy="Give --preprocess when the bundle is made, or an .npz file.",
            )
        recipe = bundle.preprocessing[0]
        pictures.setdefault(recipe.input, []).append(load_picture(path, recipe))
    for name, loaded_pictures in pictures.items():
        arrays[name] = numpy.concatenate(loaded_pictures, axis=0)
    return arrays


def split_samples(bundle: Bundle, inputs: Mapping[str, numpy.ndarray]) -> list[Arrays]:
    """One entry a sample, each of batch size 1; everything is checked before a board is asked."""
    to_runtime_arrays(bundle.inputs, inputs)
    batched = [spec for spec in bundle.inputs if spec.batch_axis is not None]
    if not batched:
        return [{spec.name: inputs[spec.name] for spec in bundle.inputs}]
    first = batched[0]
    assert first.batch_axis is not None
    count = inputs[first.name].shape[first.batch_axis]
    return [
        {spec.name: _sample(spec, inputs[spec.name], index) for spec in bundle.inputs}
        for index in range(count)
    ]


def _sample(spec: TensorSpec, array: numpy.ndarray, index: int) -> numpy.ndarray:
    if spec.batch_axis is None:
        return array
    return numpy.take(array, [index], axis=spec.batch_axis)


def _tensors(bundle: Bundle, sample: Arrays) -> list[InputTensor]:
    arrays = to_runtime_arrays(bundle.inputs, sample)
    return [
        InputTensor(blob=blob, array=array, batched=batched)
        for blob, (array, batched) in arrays.items()
    ]


def _joined(spec: TensorSpec, parts: Sequence[numpy.ndarray], samples: int) -> numpy.ndarray:
    if samples == 1:
        return parts[0]
    axis = spec.batch_axis
    return numpy.stack(parts) if axis is None else numpy.concatenate(parts, axis=axis)


def _read_npz(path: Path) -> Arrays:
    import zipfile

    try:
        with numpy.load(path, allow_pickle=False) as content:
            return {name: content[name] for name in content.files}
    except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
        raise UsageError(f"{path} cannot be read as .npz: {error}.") from error


def write_outputs(outputs: Mapping[str, numpy.ndarray], path: Path) -> None:
    """An ``.npz`` with arrays named like the outputs, written beside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        numpy.savez(file, **outputs)  # type: ignore[arg-type]
    temporary.replace(path)
