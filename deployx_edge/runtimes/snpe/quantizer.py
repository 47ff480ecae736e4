"""int8 for SNPE: PPQ's ranges, and the SDK's own for tensors that PPQ gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from deployx_edge.progress import Progress, silent
from deployx_edge.quantization.values import NodeForm
from deployx_edge.runtimes.onnx_quantizer import OnnxQuantizer
from deployx_edge.runtimes.quantizer import (
    Int8Options,
    LayerQuantizer,
    Material,
    QuantizedModel,
    make_folder,
)
from deployx_edge.runtimes.snpe.converter import SnpeConverter

if TYPE_CHECKING:
    from deployx_edge.model import Array

# Between layers its DSP computes uint8 with a zero point; weights have a scale for each output of
# a convolution, and one for all of a fully connected layer.
_FORM = NodeForm(per_output=("Conv", "ConvTranspose"), unsigned=True)
_MOST = 256  # samples for the SDK's own ranges


class SnpeQuantizer:
    """``Quantizer`` for SNPE."""

    by_layer: LayerQuantizer | None = None

    def quantize(
        self, material: Material, options: Int8Options, *, progress: Progress = silent
    ) -> QuantizedModel:
        """See ``Quantizer``."""
        samples = [sample.inputs for sample in islice(iter(material.data), _MOST)]
        listed = write_input_list(make_folder(material.folder, "calibration"), samples)
        quantizer = OnnxQuantizer(SnpeConverter(listed), _FORM)
        return quantizer.quantize(material, options, progress=progress)


def write_input_list(
    folder: Path, samples: Sequence[Mapping[str, Array]], outputs: Sequence[str] = ()
) -> Path:
    """The samples as the SDK's tools read them: a file of float32 an input, a line a sample.

    Paths are seen from ``folder``, where the tool has to run: a space would end them.
    """
    import numpy as np

    lines = ["%" + " ".join(outputs)] if outputs else []
    for index, sample in enumerate(samples):
        words = []
        for place, (name, array) in enumerate(sample.items()):
            file = folder / f"{index}-{place}.raw"
            np.ascontiguousarray(array, dtype=np.float32).tofile(file)
            words.append(f"{name}:={file.name}")
        lines.append(" ".join(words))
    listed = folder / "inputs.txt"
    listed.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return listed
