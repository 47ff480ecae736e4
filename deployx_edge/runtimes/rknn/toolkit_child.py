"""rknn-toolkit2 in a process of its own, by the Python of its own environment.

``toolkit.py`` beside it starts this file, which imports nothing of ours, and talks to it over
standard input and output. Each message is a line of JSON, after which the float32 bytes follow of
the arrays that it announces:

    to it:    {"do": "convert", "onnx", "soc", "rknn"}                 writes the file ``rknn``
              {"do": "open", "onnx", "soc", "alone"}                   before the first run
              {"do": "run", "inputs": [shape…], "outputs": [name…]} + arrays
    from it:  {"phase": …}                                             before it begins something
              {"done": true, "shapes": [shape…]} + arrays              in the order asked for
              or {"error": …}, after which it ends

No outputs are the model's own. ``alone``: each output is computed by a model that ends there, as
the toolkit refuses outputs inside a quantized one.
"""

import json
import os
import sys
import traceback
from typing import IO, Any

_FLOATS = 4  # axes of an image


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
        model = self._make(verbose=False)
        self._check("config", model.config(target_platform=soc))
        self._check("load_onnx", model.load_onnx(model=onnx, outputs=outputs or None))
        self._check("build", model.build(do_quantization=False))
        return model

    def convert(self, onnx: str, soc: str, rknn: str) -> None:
        """Write the file ``rknn``."""
        model = self.build(onnx, soc, [])
        self._check("export_rknn", model.export_rknn(rknn))
        model.release()

    def open(self, onnx: str, soc: str, alone: bool) -> None:
        """Build the model for the runs that follow."""
        self._opened = {"onnx": onnx, "soc": soc, "alone": alone}
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
