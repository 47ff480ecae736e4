#!/usr/bin/env python3
"""Every tool of the stand-in SDK in one script, which is what its name says.

Words in DX_STAND_IN_SDK make it fail: "refuse" (the first convolution), "die", "silent" (nothing is
written), "moved" (axes of inputs go last), "broken" (a damaged DLC), "no-packages".
"""

import argparse
import csv
import json
import os
import signal
import sys
import zipfile
from pathlib import Path

VERSION = "2.39.0.250926"
WORDS = os.environ.get("DX_STAND_IN_SDK", "").split()


def convert(newer):
    parser = argparse.ArgumentParser()
    parser.add_argument("--input_network", required=True)
    parser.add_argument("--output_path", required=True)
    parser.add_argument("--quantization_overrides")
    if newer:
        parser.add_argument("--float_bitwidth", default="32")
        parser.add_argument("--preserve_io_datatype", action="store_true")
    else:
        parser.add_argument("--preserve_io", nargs="*")
    given = parser.parse_args()
    import onnx

    model = onnx.load(given.input_network)
    if "refuse" in WORDS:
        node = next(n for n in model.graph.node if n.op_type == "Conv")
        print("2026-01-01 10:00:00,000 - 235 - INFO - reading")
        print(f"2026-01-01 10:00:01,000 - 235 - ERROR - Node {node.name}: attribute not supported")
        sys.exit(1)
    die_or_say_nothing()
    kept = given.preserve_io_datatype if newer else given.preserve_io == []
    ranges = {}
    if given.quantization_overrides:
        ranges = json.loads(Path(given.quantization_overrides).read_text())
        known = {name for node in model.graph.node for name in (*node.input, *node.output)}
        for kind in ("activation_encodings", "param_encodings"):
            assert set(ranges[kind]) <= known, sorted(set(ranges[kind]) - known)
    floats = getattr(given, "float_bitwidth", "32")
    write(given.output_path, model, ranges, quantized=False, kept=kept, bits=floats)


def quantize():
    parser = argparse.ArgumentParser()
    parser.add_argument("--input_dlc", required=True)
    parser.add_argument("--output_dlc", required=True)
    parser.add_argument("--input_list")
    parser.add_argument("--override_params", action="store_true")
    given = parser.parse_args()
    model, ranges, about = read(given.input_dlc)
    if not given.input_list:
        sys.exit("ERROR: --input_list is required")
    for line in Path(given.input_list).read_text().splitlines():
        for word in line.split():
            assert Path(word.partition(":=")[2]).stat().st_size % 4 == 0
    assert about["kept"]
    die_or_say_nothing()
    write(given.output_dlc, model, ranges, quantized=True, kept=True, bits="32")


def tell():
    parser = argparse.ArgumentParser()
    parser.add_argument("-i", required=True)
    parser.add_argument("-s", required=True)
    given = parser.parse_args()
    model, _, about = read(given.i)
    import onnx

    model = onnx.shape_inference.infer_shapes(model)
    rows = [["DLC info for:", given.i], ["Id", "Name", "Type", "Inputs", "Outputs", "Out Dims"]]
    for kind, values in (("Input", model.graph.input), ("Output", model.graph.output)):
        rows.append([f"{kind} Name", "Dimensions", "Type", "Encoding Info"])
        for value in values:
            dims = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
            if ("moved" in WORDS or not about["kept"]) and len(dims) > 2:
                dims = [dims[0], *dims[2:], *dims[1:2]]
            rows.append([value.name, ",".join(map(str, dims)), "Float_32", "No encoding info"])
    rows.append(["Total parameters: 1"])
    with Path(given.s).open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def run():
    if sys.argv[1:] == ["--version"]:
        print(f"SNPE v{VERSION}")
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--container", required=True)
    parser.add_argument("--input_list", required=True)
    parser.add_argument("--output_dir", default="output")
    given = parser.parse_args()
    import numpy
    import onnxruntime

    model, ranges, about = read(given.container)
    die_or_say_nothing()
    if about["quantized"]:
        round_activations(model, ranges["activation_encodings"])
    session = onnxruntime.InferenceSession(model.SerializeToString())
    dims = {value.name: value.shape for value in session.get_inputs()}
    lines = Path(given.input_list).read_text().splitlines()
    wanted = None
    if lines[0].startswith("%"):
        wanted = lines.pop(0)[1:].split()
    for index, line in enumerate(lines):
        pairs = dict(word.split(":=") for word in line.split())
        arrays = {n: numpy.fromfile(p, numpy.float32).reshape(dims[n]) for n, p in pairs.items()}
        names = wanted or [value.name for value in session.get_outputs()]
        folder = Path(given.output_dir) / f"Result_{index}"
        folder.mkdir(parents=True)
        for name, array in zip(names, session.run(names, arrays), strict=True):
            array.astype(numpy.float32).tofile(folder / f"{name}.raw")


def round_activations(model, ranges):
    """A pair of nodes behind each tensor that has a range."""
    import onnx

    nodes = []
    outputs = {value.name for value in model.graph.output}
    renamed = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in ranges:
                nodes += pair(model, node, place, name, ranges[name][0], name in outputs, renamed)
    heads = []
    for value in model.graph.input:
        if value.name in ranges:
            made = f"{value.name}/rounded"
            heads += round_to(model, value.name, made, ranges[value.name][0])
            for node in nodes:
                for place, name in enumerate(node.input):
                    node.input[place] = made if name == value.name else name
    kept = [*heads, *(onnx.NodeProto.FromString(n.SerializeToString()) for n in nodes)]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def pair(model, node, place, name, entry, is_output, renamed):
    if is_output:
        node.output[place] = f"{name}/whole"
        return round_to(model, f"{name}/whole", name, entry)
    renamed[name] = f"{name}/rounded"
    return round_to(model, name, f"{name}/rounded", entry)


def round_to(model, given, made, entry):
    import numpy
    from onnx import helper, numpy_helper

    kind = numpy.int8 if entry["is_symmetric"] == "True" else numpy.uint8
    zero = 0 if kind is numpy.int8 else -entry["offset"]
    assert abs(entry["min"] - entry["scale"] * entry["offset"]) < 1e-6
    for suffix, value in (("s", numpy.float32(entry["scale"])), ("z", kind(zero))):
        tensor = numpy_helper.from_array(numpy.array(value), f"{made}/{suffix}")
        model.graph.initializer.append(tensor)
    beside = [f"{made}/s", f"{made}/z"]
    return [
        helper.make_node("QuantizeLinear", [given, *beside], [f"{made}/q"]),
        helper.make_node("DequantizeLinear", [f"{made}/q", *beside], [made]),
    ]


def write(path, model, ranges, *, quantized, kept, bits):
    about = {"ranges": ranges, "quantized": quantized, "kept": kept, "bits": bits}
    lines = f"model-version=\nconverter-command=stand-in\nconverter-version={VERSION}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model", model.SerializeToString())
        if (
            quantized
        ):  # for the library that stands in on boards: what codes between layers make of it
            round_activations(model, ranges["activation_encodings"])
            archive.writestr("board", model.SerializeToString())
        archive.writestr("stand-in.json", json.dumps(about))
        archive.writestr("dlc.metadata", lines)
    if "broken" in WORDS:
        content = bytearray(Path(path).read_bytes())
        content[100] ^= 255
        Path(path).write_bytes(content)


def read(path):
    import onnx

    with zipfile.ZipFile(path) as archive:
        about = json.loads(archive.read("stand-in.json"))
        return onnx.ModelProto.FromString(archive.read("model")), about["ranges"], about


def die_or_say_nothing():
    if "die" in WORDS:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "silent" in WORDS:
        sys.exit(0)


def install():
    """Ours are the packages that it wants."""
    import sysconfig

    if "no-packages" in WORDS:
        sys.exit("ERROR: no matching distribution found for numpy==1.26.4")
    listed = Path(os.environ["PYTHONPATH"]) / "packages.txt"
    place = Path(sysconfig.get_paths()["purelib"])
    (place / "ours.pth").write_text(listed.read_text())


NAME = Path(sys.argv[0]).name
if NAME in ("qairt-converter", "snpe-onnx-to-dlc"):
    convert(NAME == "qairt-converter")
elif NAME in ("qairt-quantizer", "snpe-dlc-quant"):
    quantize()
elif NAME.endswith("-dlc-info"):
    tell()
elif NAME == "snpe-net-run":
    run()
else:
    install()
