"""rknn-toolkit2 in a process of its own, by the Python of its own environment.

``toolkit.py`` beside it starts this file, which imports nothing of ours, and talks to it over
standard input and output. Each message is a line of JSON, after which the float32 bytes follow of
the arrays that it announces:

    to it:    {"do": "convert", "onnx", "soc", "rknn"}                 writes the file ``rknn``
              {"do": "calibrate", "onnx", "soc", "rknn", "ranges", "samples"}   that and its ranges
              {"do": "open", "onnx", "soc", "alone", "ranges"}         before the first run
              {"do": "run", "inputs": [shape…], "outputs": [name…]} + arrays
    from it:  {"phase": …}                                             before it begins something
              {"done": true, "shapes": [shape…]} + arrays              in the order asked for
              or {"error": …}, after which it ends

No outputs are the model's own. ``alone``: each output is computed by a model that ends there, as
the toolkit refuses outputs inside a quantized one. ``samples`` is a text with a line for each
sample: the .npy files of its inputs. ``ranges`` is the toolkit's own text of what it found on them,
by which it builds the same model again; "" for a model that has its scales, or none.
"""

import json
import os
import shutil
import sys
import traceback
from pathlib import Path
from typing import IO, Any

_FLOATS = 4  # axes of an image
_RANGES = ".quantization.cfg"


class RefusedError(Exception):
    """The toolkit said no; it has told why on its standard output."""


class Toolkit:
    """Builds models, and runs them in the toolkit's simulator."""

    def __init__(self) -> None:
        from rknn.api import RKNN

        self._make = RKNN
        self._models: dict[tuple[str, ...], Any] = {}
        self._opened: dict[str, Any] = {}

    def build(self, onnx: str, soc: str, outputs: list[str]) -> Any:
        """The model, built for the chip; a quantized one keeps the scales that it has."""
        model = self._loaded(onnx, soc, outputs)
        self._check("build", model.build(do_quantization=False))
        return model

    def _loaded(self, onnx: str, soc: str, outputs: list[str]) -> Any:
        model = self._make(verbose=False)
        self._check("config", model.config(target_platform=soc))
        self._check("load_onnx", model.load_onnx(model=onnx, outputs=outputs or None))
        return model

    def calibrate(self, onnx: str, soc: str, rknn: str, ranges: str, samples: str) -> None:
        """Write the file ``rknn`` of a model in floats, quantized, and the ``ranges`` for it."""
        self._begin(onnx, soc, samples)
        shutil.copyfile(_stem(onnx) + _RANGES, ranges)
        model = self._by_ranges(onnx, soc, ranges)
        self._check("export_rknn", model.export_rknn(rknn))
        model.release()

    def _begin(self, onnx: str, soc: str, samples: str) -> None:
        """Leave here what the toolkit makes of the model before it quantizes it, and its ranges."""
        model = self._loaded(onnx, soc, [])
        self._check("calibration", model.hybrid_quantization_step1(dataset=samples, proposal=False))
        model.release()

    def _by_ranges(self, onnx: str, soc: str, ranges: str) -> Any:
        """REQUIRES: ``_begin`` was here."""
        stem = _stem(onnx)
        model = self._make(verbose=False)
        self._check("config", model.config(target_platform=soc))
        made = model.hybrid_quantization_step2(stem + ".model", stem + ".data", ranges)
        self._check("build", made)
        return model

    def _built_again(self, onnx: str, soc: str, ranges: str) -> Any:
        """The model by ranges that were found before: what is found on a sample that is made up
        is thrown away."""
        import numpy
        import onnx as onnx_format

        graph = onnx_format.load(onnx, load_external_data=False).graph
        names = []
        for index, value in enumerate(graph.input):
            shape = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
            count = int(numpy.prod(shape))
            names.append(f"made-up-{index}.npy")
            array = numpy.linspace(-1.0, 1.0, count, dtype=numpy.float32).reshape(shape)
            numpy.save(names[-1], array)
        Path("made-up.txt").write_text(" ".join(names) + "\n", encoding="utf-8")
        self._begin(onnx, soc, "made-up.txt")
        _take_ranges(ranges, _stem(onnx) + _RANGES)
        return self._by_ranges(onnx, soc, _stem(onnx) + _RANGES)

    def convert(self, onnx: str, soc: str, rknn: str) -> None:
        """Write the file ``rknn``."""
        model = self.build(onnx, soc, [])
        self._check("export_rknn", model.export_rknn(rknn))
        model.release()

    def open(self, onnx: str, soc: str, alone: bool, ranges: str) -> None:
        """Build the model for the runs that follow."""
        self._opened = {"onnx": onnx, "soc": soc, "alone": alone, "ranges": ranges}
        self._simulated(())

    def run(self, inputs: list[Any], outputs: list[str]) -> list[Any]:
        """The arrays of these tensors of the opened model, or of its outputs."""
        groups = [tuple(outputs)]
        if self._opened["alone"] and outputs:
            groups = [(name,) for name in outputs]
        found: list[Any] = []
        for names in groups:
            found += self._run(self._simulated(names), inputs)
        return found

    def _simulated(self, names: tuple[str, ...]) -> Any:
        if names not in self._models:
            opened = self._opened
            if opened["ranges"]:
                model = self._built_again(opened["onnx"], opened["soc"], opened["ranges"])
            else:
                model = self.build(opened["onnx"], opened["soc"], list(names))
            self._check("init_runtime", model.init_runtime())
            self._models[names] = model
        return self._models[names]

    def _run(self, model: Any, inputs: list[Any]) -> Any:
        images = ["nchw" if array.ndim == _FLOATS else None for array in inputs]
        found = model.inference(inputs=inputs, data_format=images if any(images) else None)
        if found is None:
            raise RefusedError("inference")
        return found

    def _check(self, step: str, code: int) -> None:
        if code != 0:
            raise RefusedError(step)


def _stem(onnx: str) -> str:
    """By which the toolkit calls what it leaves in its working folder."""
    return Path(onnx).stem


def _take_ranges(found: str, made_up: str) -> None:
    """Put the ranges of the text ``found`` in the place of those of ``made_up``.

    All else of it the toolkit wants back as it left it, and makes of these.
    """
    # Which the toolkit reads and writes them by; it lies in its environment alone.
    from ruamel.yaml import YAML  # type: ignore[import-not-found,unused-ignore]

    yaml = YAML()
    ranges, own = yaml.load(Path(found)), yaml.load(Path(made_up))
    for name, entry in ranges["quantize_parameters"].items():
        own["quantize_parameters"][name].update(min=entry["min"], max=entry["max"])
    yaml.dump(own, Path(made_up))


class Child:
    """Serves until nobody asks any more."""

    def __init__(self, requests: IO[bytes], answers: IO[bytes]) -> None:
        self._requests = requests
        self._answers = answers

    def say(self, message: dict[str, Any], arrays: Any = ()) -> None:
        """Send a message with its arrays."""
        self._answers.write(json.dumps(message).encode() + b"\n")
        for array in arrays:
            self._answers.write(array.tobytes())
        self._answers.flush()

    def read(self, shape: list[int]) -> Any:
        """The next array of a request."""
        import numpy

        count = int(numpy.prod(shape))
        content = self._requests.read(4 * count)
        return numpy.frombuffer(content, dtype=numpy.float32).reshape(shape)

    def serve(self) -> None:
        """Answer requests until their stream ends."""
        import numpy

        self.say({"phase": "start"})
        toolkit = Toolkit()
        for line in iter(self._requests.readline, b""):
            request = json.loads(line)
            job = request.pop("do")
            self.say({"phase": job})
            if job == "run":
                inputs = [self.read(shape) for shape in request["inputs"]]
                found = toolkit.run(inputs, request["outputs"])
                arrays = [numpy.ascontiguousarray(each, dtype=numpy.float32) for each in found]
                self.say({"done": True, "shapes": [array.shape for array in arrays]}, arrays)
            else:
                getattr(toolkit, job)(**request)
                self.say({"done": True, "shapes": []})


def main() -> None:
    """Serve on standard input and output; what the toolkit prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    child = Child(sys.stdin.buffer, answers)
    try:
        child.serve()
    except RefusedError as refusal:
        child.say({"error": str(refusal)})
    except Exception as error:  # the toolkit raises whatever it meets
        traceback.print_exc()
        child.say({"error": type(error).__name__})


if __name__ == "__main__":
    main()
