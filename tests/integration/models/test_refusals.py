"""Models that cannot become a bundle: each ends in one line that names the cause."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from deployx_edge.bundle import load_sequence
from deployx_edge.comparison import structured_inputs
from deployx_edge.errors import (
    DeployxError,
    MissingToolError,
    ModelError,
    UsageError,
    VerificationError,
)
from deployx_edge.runtimes.ncnn import pnnx
from deployx_edge.runtimes.reference import Reference
from deployx_edge.sources.onnx.file import read_onnx, write_prepared
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.convert.partition import make_sequence
from tests.integration.models.onnx_models import constant, model, save, small_cnn, weights

IMAGE = {"image": (1, 3, 8, 8)}


def refuse(
    path: Path, wanted: type[ModelError] | type[UsageError] = ModelError, **options: object
) -> str:
    """The error's text; nothing must be left of the output folder."""
    output = path.parent / "output" / "bundle"
    with pytest.raises(wanted) as caught:
        make_bundle(path, output, BundleOptions(**options))  # type: ignore[arg-type]
    assert type(caught.value) is wanted
    assert "\n" not in str(caught.value)
    assert not output.parent.exists() or not list(output.parent.iterdir())
    return str(caught.value)


def single(
    operator: str, outputs: dict[str, tuple[int | str, ...]], **attributes: object
) -> onnx.ModelProto:
    node = helper.make_node(operator, ["image"], list(outputs), name=f"my_{operator}", **attributes)
    return model([node], IMAGE, outputs)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x07" * 40, bytes(range(256)) * 8])
def test_files_that_are_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    text = refuse(path)
    assert "m.onnx" in text
    assert ("Export or copy it again." if content else "Copy or download it again.") in text


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_model(tmp_path: Path, share: float) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert "m.onnx" in refuse(path)


def test_mutated_files_end_in_our_errors_only(tmp_path: Path) -> None:
    """Up to the conversion: reading, the copy for pnnx, and the reference's own run."""
    whole = save(small_cnn(), tmp_path / "m.onnx").read_bytes()
    generator = random.Random(20261121)
    refused = 0
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(generator.randint(1, 4)):
            place = generator.randrange(len(content))
            if generator.random() < 0.7:
                content[place] = generator.randrange(256)
            else:
                del content[place : place + generator.randint(1, 30)]
        (tmp_path / "m.onnx").write_bytes(bytes(content))
        try:
            source = read_onnx(tmp_path / "m.onnx", {})
            write_prepared(source, tmp_path / "prepared.onnx")
            Reference(source).run(structured_inputs(source.inputs)[0])
        except DeployxError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100


def test_a_model_that_onnx_runtime_refuses(tmp_path: Path) -> None:
    broken = small_cnn()
    broken.graph.node[0].input[1] = "no_such_weight"
    text = refuse(save(broken, tmp_path / "m.onnx"))
    assert "refuses m.onnx" in text and "newer" not in text
    assert "no_such_weight" in text


def test_an_operator_of_another_domain(tmp_path: Path) -> None:
    made = model(
        [helper.make_node("FusedThing", ["image"], ["y"], name="thing7", domain="com.example")],
        IMAGE,
        {"y": (1, 3, 8, 8)},
    )
    text = refuse(save(made, tmp_path / "m.onnx"))
    assert "'FusedThing'" in text
    assert "'com.example'" in text
    assert "'thing7'" in text


def test_an_operator_that_onnx_does_not_have(tmp_path: Path) -> None:
    text = refuse(save(single("Blur", {"y": (1, 3, 8, 8)}), tmp_path / "m.onnx"))
    assert "'Blur' (node 'my_Blur')" in text


def test_an_operator_without_fixed_shapes(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("NonZero", ["image"], ["where"], name="find"),
            helper.make_node("Cast", ["where"], ["y"], to=TensorProto.FLOAT),
        ],
        IMAGE,
        {"y": (4, "count")},
    )
    text = refuse(save(made, tmp_path / "m.onnx"))
    assert "'NonZero' (node 'find')" in text
    assert "depends on values" in text
    assert "--partition" in text


def suppressed(*, filled: bool) -> onnx.ModelProto:
    """Boxes of a convolution and ONNX's suppression; ``filled`` up to a fixed number of rows."""
    constants = {
        "by-box": [1, 64, 4],
        "by-class": [1, 4, 64],
        "most": [3],
        "begin": [0],
        "end": [20],
        "rest": np.full((20, 3), -1),
        "overlap": np.asarray([0.5], dtype=np.float32),
        "least": np.asarray([0.1], dtype=np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["features"], name="stem"),
        helper.make_node("Reshape", ["features", "by-box"], ["boxes"], name="boxes"),
        helper.make_node("Reshape", ["features", "by-class"], ["scores"], name="scores"),
        helper.make_node(
            "NonMaxSuppression", ["boxes", "scores", "most", "overlap", "least"], ["kept"], "nms"
        ),
        helper.make_node("Concat", ["kept", "rest"], ["longer"], axis=0),
        helper.make_node("Slice", ["longer", "begin", "end"], ["rows"]),
        helper.make_node("Cast", ["rows" if filled else "kept"], ["y"], to=TensorProto.FLOAT),
    ]
    tensors = [constant(name, values) for name, values in constants.items()]
    return model(nodes, IMAGE, {"y": ("rows", 3)}, [weights("w", 4, 3, 1, 1), *tensors])


def test_a_suppression_can_be_left_to_onnx_runtime(tmp_path: Path) -> None:
    path = save(suppressed(filled=True), tmp_path / "m.onnx")
    make_sequence(path, tmp_path / "s", ["boxes,scores"])
    parts = load_sequence(tmp_path / "s").parts
    assert len(parts) == 2


def test_results_of_no_fixed_number_are_refused_for_what_they_are(tmp_path: Path) -> None:
    path = save(suppressed(filled=False), tmp_path / "m.onnx")
    with pytest.raises(VerificationError, match="shape of the output 'y' depends on the input"):
        make_bundle(path, tmp_path / "b", BundleOptions(runtime="onnxruntime"))


@pytest.mark.parametrize(("operator", "shape"), [("Det", (1, 3)), ("IsNaN", None)])
def test_an_operator_that_ncnn_lacks_is_named_with_its_node(
    tmp_path: Path, operator: str, shape: tuple[int, ...] | None
) -> None:
    if shape is None:
        made = model(
            [
                helper.make_node(operator, ["image"], ["flags"], name=f"my_{operator}"),
                helper.make_node("Cast", ["flags"], ["y"], to=TensorProto.FLOAT, name="cast"),
            ],
            IMAGE,
            {"y": (1, 3, 8, 8)},
        )
    else:
        made = single(operator, {"y": shape})
    path = save(made, tmp_path / "m.onnx")
    text = refuse(path)
    assert f"'{operator}' (node 'my_{operator}')" in text
    assert "not in the table of what ncnn can run" in text
    text = refuse(path, converter="pnnx")
    assert f"'{operator}' (node 'my_{operator}')" in text
    assert "for which ncnn has no layer" in text


@pytest.mark.parametrize(("mode", "size"), [("SAME_UPPER", 9), ("SAME_LOWER", 5)])
def test_strides_that_leave_out_the_first_values(tmp_path: Path, mode: str, size: int) -> None:
    """ONNX Runtime shares out at both ends what a stride of five leaves over."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], name="conv", auto_pad=mode, strides=[5])
    made = model([node], {"x": (1, 2, size)}, {"y": (1, 3, "w")}, [weights("w", 3, 2, 1)])
    text = refuse(save(made, tmp_path / "m.onnx"))
    assert f"'Conv' (node 'conv'): its strides leave out values on both sides ({mode})" in text


def test_dynamic_axes_and_the_way_round_them(tmp_path: Path) -> None:
    path = save(small_cnn(batch="N"), tmp_path / "m.onnx")
    text = refuse(path)
    assert "'image'" in text
    assert "Nx3x16x16" in text
    assert "--input image:1x3x16x16" in text
    bundle = make_bundle(path, tmp_path / "b", BundleOptions(input_shapes=("image:1x3x16x16",)))
    assert bundle.inputs[0].shape == (1, 3, 16, 16)
    assert bundle.outputs[0].shape == (1, 6)
    assert bundle.provenance.verification.status == "passed"


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (("image:3x16x16",), "is 1x3x16x16, the shape given for it 3x16x16"),
        (("photo:1x3x16x16",), "no input 'photo'; its inputs are image"),
        (("image",), "does not say an input's shape"),
        (("image:1x3xax16",), "does not say an input's shape"),
        (("image:1x3x16x16", "image:1x3x16x16"), "given twice"),
    ],
)
def test_shapes_that_do_not_fit(tmp_path: Path, shapes: tuple[str, ...], words: str) -> None:
    path = save(small_cnn(), tmp_path / "m.onnx")
    assert words in refuse(path, UsageError, input_shapes=shapes)


def test_integer_inputs_and_outputs(tmp_path: Path) -> None:
    gather = model(
        [helper.make_node("Gather", ["table", "ids"], ["y"])],
        {"ids": (1, 4)},
        {"y": (1, 4, 8)},
        [weights("table", 10, 8)],
    )
    gather.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    assert "The input 'ids' of m.onnx is int64" in refuse(save(gather, tmp_path / "m.onnx"))
    best = model(
        [helper.make_node("ArgMax", ["image"], ["best"], axis=1)],
        IMAGE,
        {"best": (1, 1, 8, 8)},
        output_type=TensorProto.INT64,
    )
    assert "The output 'best' of m.onnx is int64" in refuse(save(best, tmp_path / "m.onnx"))


def test_an_unused_input(tmp_path: Path) -> None:
    made = model(
        [helper.make_node("Relu", ["image"], ["y"])],
        {**IMAGE, "spare": (1, 2)},
        {"y": (1, 3, 8, 8)},
    )
    assert "'spare' of m.onnx is used by no node" in refuse(save(made, tmp_path / "m.onnx"))


def test_a_model_without_inputs(tmp_path: Path) -> None:
    made = model([helper.make_node("Relu", ["c"], ["y"])], {}, {"y": (2,)}, [weights("c", 2)])
    assert "has no inputs" in refuse(save(made, tmp_path / "m.onnx"))


def test_missing_external_data(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(small_cnn(), path, save_as_external_data=True, location="w.data", size_threshold=64)
    (tmp_path / "w.data").unlink()
    assert "'w.data'" in refuse(path)


def test_what_pnnx_gets_wrong_without_a_word_is_refused_by_the_numbers(tmp_path: Path) -> None:
    attributes = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
    pool = single("AveragePool", {"y": (1, 3, 4, 4)}, **attributes)
    text = refuse(save(pool, tmp_path / "pool.onnx"), VerificationError, converter="pnnx")
    assert "output 'y' is off by" in text
    assert "often gets these wrong: AveragePool (node 'my_AveragePool')" in text
    assert "--no-verify" in text
    gather = model(
        [helper.make_node("Gather", ["image", "indices"], ["y"], axis=1)],
        IMAGE,
        {"y": (1, 2, 8, 8)},
        [constant("indices", np.asarray([2, 0]))],
    )
    text = refuse(save(gather, tmp_path / "gather.onnx"), VerificationError, converter="pnnx")
    assert "output 'y' has the shape 1x8x8 instead of 1x2x8x8" in text


def test_files_that_ncnn_refuses(tmp_path: Path) -> None:
    lstm = model(
        [helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=5)],
        {"x": (6, 1, 4)},
        {"y": (6, 1, 1, 5)},
        [weights("w", 1, 20, 4), weights("r", 1, 20, 5)],
    )
    text = refuse(save(lstm, tmp_path / "m.onnx"), verify=False, converter="pnnx")
    assert "ncnn refused the .param file (m.param)" in text
    assert "LSTM" in text


def test_a_model_on_which_pnnx_dies(tmp_path: Path) -> None:
    made = single("Identity", {"y": (1, 3, 8, 8)})
    text = refuse(save(made, tmp_path / "m.onnx"), converter="pnnx")
    assert "pnnx died of signal 11 on m.onnx; its last words: " in text


def test_a_source_that_gives_nan(tmp_path: Path) -> None:
    made = model(
        [
            helper.make_node("Sub", ["image", "ten"], ["s"]),
            helper.make_node("Sqrt", ["s"], ["y"]),
        ],
        IMAGE,
        {"y": (1, 3, 8, 8)},
        [constant("ten", np.float32(10.0))],
    )
    assert "gives NaN or infinite values" in refuse(
        save(made, tmp_path / "m.onnx"), VerificationError
    )


def test_words_that_are_no_model(tmp_path: Path) -> None:
    assert "does not exist" in refuse(tmp_path / "absent.onnx", UsageError)
    text = tmp_path / "model.txt"
    text.write_text("hello")
    assert "expected an .onnx file" in refuse(text, UsageError)
    assert "not 'int4'" in refuse(text, UsageError, precision="int4")


def test_without_pnnx_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pnnx.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="pip install --no-deps pnnx==20261020"):
        path = save(small_cnn(), tmp_path / "m.onnx")
        make_bundle(path, tmp_path / "b", BundleOptions(converter="pnnx"))


def test_pnnx_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from deployx_edge.runtimes.ncnn.pnnx import find_pnnx; "
        "assert find_pnnx().is_file(); print('torch' in sys.modules, 'pnnx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def external(path: Path, size: int) -> Path:
    """A model whose weights lie in a file of ``size`` bytes, which takes no room on the disk."""
    onnx.save(
        small_cnn(), path, save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    with path.with_name("weights.bin").open("r+b") as file:
        file.truncate(size)
    return path


def test_a_model_beyond_what_the_tools_can(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx", 2**31)
    assert "has 2.0 GiB; the tools for ONNX end at 2 GiB" in refuse(path)


def test_a_model_that_takes_more_memory_than_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = external(tmp_path / "m.onnx", 2**30)
    monkeypatch.setattr("deployx_edge.sources.onnx.size.available_memory", lambda: 2**32)
    assert "takes about 8.0 GiB of memory; 4.0 GiB are free" in refuse(path)


def test_weights_outside_of_the_file_are_found(tmp_path: Path) -> None:
    path = external(tmp_path / "m.onnx", 2**20)
    bundle = make_bundle(path, tmp_path / "b")
    assert bundle.provenance.verification.intermediates is not None
    assert bundle.provenance.verification.intermediates.compared == 5


def test_a_custom_operator_is_named_with_what_would_help(tmp_path: Path) -> None:
    made = small_cnn()
    made.graph.node[0].domain = "my.domain"
    made.opset_import.append(helper.make_opsetid("my.domain", 1))
    text = refuse(save(made, tmp_path / "m.onnx"))
    assert "of the domain 'my.domain' is not a standard ONNX operator" in text
    assert "symbolic rewriter" in text
