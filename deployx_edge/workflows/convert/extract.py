"""A part of an ONNX file becomes a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.sources.onnx.extraction import Extraction, extract
from deployx_edge.sources.onnx.loading import load_whole


def extract_model(
    model: Path, output: Path, *, starts: Sequence[str] = (), ends: Sequence[str] = ()
) -> Extraction:
    """Write the part of ``model`` between two sets of tensors or marks to ``output``.

    For how these are named see ``sources.extraction``. Written beside and renamed. Raises
    UsageError or ModelError; then nothing is written.
    """
    import onnx

    if not model.is_file():
        raise UsageError(f"The model {model} does not exist.")
    if output.suffix != ".onnx":
        raise UsageError(f"{output} does not end in .onnx.")
    if output.exists() and output.samefile(model):
        raise UsageError("The part would replace the model itself.", remedy="Name another file.")
    found = extract(load_whole(model), starts, ends)
    temporary = output.with_name(output.name + ".part")
    try:
        onnx.save(found.model, temporary)
        temporary.replace(output)
    except ValueError as error:
        raise ModelError("The part is larger than one ONNX file may be (2 GB).") from error
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return found
