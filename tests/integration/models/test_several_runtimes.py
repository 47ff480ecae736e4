"""``--runtime a,b`` on convert, quantize, inspect and evaluate: a folder, a column, a row each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from deployx_edge.bundle import load_bundle
from deployx_edge.errors import DeployxError, MissingToolError, ModelError, UsageError
from deployx_edge.progress import silent
from deployx_edge.workflows.choose.trying import check_parent, try_each
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.convert.inspect import inspect_model
from tests.integration.models.onnx_kinds import KINDS
from tests.integration.models.onnx_models import save, small_cnn
from tests.integration.test_examples import deployx

DIGITS = Path("examples/digits/digits_cnn.onnx").resolve()
DATA = DIGITS.parent
BOTH = ("--runtime", "ncnn,onnxruntime")


def rows(*words: object, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(deployx(*words, "--json", code=code).stdout)
    return found


def test_convert_writes_a_folder_a_runtime(tmp_path: Path) -> None:
    output = tmp_path / "both"
    found = rows("convert", DIGITS, "-o", output, *BOTH)["rows"]
    assert [row["runtime"] for row in found] == ["ncnn", "onnxruntime"]
    assert sorted(path.name for path in output.iterdir()) == ["ncnn", "onnxruntime"]
    for row in found:
        bundle = load_bundle(output / row["runtime"])
        assert bundle.runtime == row["runtime"] and row["supported"]
        assert bundle.provenance.verification.status == "passed"
        assert row["bundle"]["folder"] == str(bundle.folder)


def test_a_runtime_that_refuses_is_a_row_and_leaves_nothing(tmp_path: Path) -> None:
    model = save(KINDS["transformer"].make(), tmp_path / "transformer.onnx")
    done = deployx("convert", model, "-o", tmp_path / "both", *BOTH)
    with pytest.raises(DeployxError) as alone:
        make_bundle(model)
    shown = " ".join(done.stdout.replace("│", " ").split())
    assert "no: " in shown and alone.value.message.split(".")[0][:20] in shown
    assert [path.name for path in (tmp_path / "both").iterdir()] == ["onnxruntime"]
    found = rows("convert", model, "-o", tmp_path / "both", *BOTH)["rows"]
    assert [row["supported"] for row in found] == [False, True]
    assert (found[0]["exit_code"], found[0]["bundle"]) == (alone.value.exit_code, None)
    assert found[0]["reason"] == str(alone.value)


def test_where_all_refuse_there_is_one_error_and_no_folder(tmp_path: Path) -> None:
    model = save(KINDS["transformer"].make(), tmp_path / "transformer.onnx")
    words = ("convert", model, "-o", tmp_path / "both", *BOTH, "--precision", "bf16")
    failed = deployx(*words, code=10)
    assert "No runtime of those asked for supports transformer.onnx." in failed.stderr
    assert "ncnn in bf16: " in failed.stderr and "onnxruntime in bf16: " in failed.stderr
    assert not (tmp_path / "both").exists()


def test_where_the_folders_cannot_lie_is_said_before_anything_is_made(tmp_path: Path) -> None:
    make_bundle(save(small_cnn(), tmp_path / "m.onnx"), tmp_path / "bundle")
    (tmp_path / "file").touch()
    for name, words in (("bundle", "is a bundle"), ("file", "is not a folder")):
        with pytest.raises(UsageError, match=words):
            check_parent(tmp_path / name)
    check_parent(tmp_path / "new")
    check_parent(tmp_path)
    words = ("convert", DIGITS, "-o", tmp_path / "x", *BOTH, "--partition", "y")
    assert "one sequence" in deployx(*words, code=2).stderr


def test_quantize_writes_a_folder_a_runtime_with_what_it_cost(tmp_path: Path) -> None:
    words = ("quantize", DIGITS, "--calibration", DATA / "digits_calibration.npz")
    found = rows(*words, "--preset", "fast", "-o", tmp_path / "q", *BOTH)["rows"]
    for row in found:
        assert load_bundle(tmp_path / "q" / row["runtime"]).precision == "int8"
        assert row["quantization"]["outputs"][0]["snr_db"] > 20
        assert (row["precision"], row["supported"]) == ("int8", True)


def test_inspect_has_a_column_for_each_in_their_order(tmp_path: Path) -> None:
    model = save(KINDS["transformer"].make(), tmp_path / "transformer.onnx")
    found = inspect_model(model, runtimes=("onnxruntime", "ncnn"))
    assert list(found.refused) == ["onnxruntime", "ncnn"]
    assert found.refused["ncnn"] and not found.refused["onnxruntime"]
    assert list(inspect_model(model, runtimes=("ncnn",)).refused) == ["ncnn"]
    assert list(inspect_model(model, runtime="ncnn").refused) == ["ncnn"]
    with pytest.raises(UsageError, match="There is no runtime 'ncn'"):
        inspect_model(model, runtimes=("ncnn", "ncn"))
    shown = deployx("inspect", model, "--runtime", "onnxruntime,ncnn").stdout
    assert "multiply-accumulates ┃ onnxruntime ┃ ncnn" in shown


def test_evaluate_has_a_row_for_each_on_the_same_samples(tmp_path: Path) -> None:
    words = ("evaluate", DIGITS, "--dataset", DATA / "digits_test.npz", "--limit", 100)
    found = rows(*words, *BOTH, "--precision", "fp32,bf16,int8")
    told = {(row["runtime"], row["precision"]): row for row in found["rows"]}
    assert len(told) == 6
    refused = [key for key, row in told.items() if not row["supported"]]
    assert refused == [("ncnn", "int8"), ("onnxruntime", "bf16"), ("onnxruntime", "int8")]
    assert "--calibration" in told["ncnn", "int8"]["reason"]
    digests = set()
    for key in told.keys() - set(refused):
        evaluation = told[key]["evaluation"]
        assert evaluation["samples"] == 100 and evaluation["reference"] is not None
        assert evaluation["places"][0]["agreement"] > 0.97
        digests.add(evaluation["dataset_sha256"])
    assert len(digests) == 1
    again = deployx(*words, *BOTH, "--precision", "fp32,bf16").stderr
    assert again.count("samples in ONNX Runtime") == 1, "the source was run for each of them"
    assert "cannot be told apart: their intervals overlap" in found["standings"][0]


def test_what_several_evaluations_do_not_go_with(tmp_path: Path) -> None:
    words = ("evaluate", DIGITS, "--dataset", DATA / "digits_test.npz", *BOTH)
    assert "one number" in deployx(*words, "--threads", "1,2", code=2).stderr
    assert "one runtime" in deployx(*words, "--report", tmp_path / "r", code=2).stderr
    done = deployx(*words, "--limit", 20, "--min", "top1=1.01", code=13)
    assert "ncnn" in done.stdout and "1.01 was demanded" in done.stderr


def test_a_package_that_is_missing_is_a_row_with_what_to_install() -> None:
    def work(runtime: str, precision: str) -> str:
        if runtime == "onnxruntime":
            raise ModuleNotFoundError("No module named 'its_wheel'", name="its_wheel")
        return f"{runtime} {precision}"

    found = try_each(DIGITS, ("ncnn", "onnxruntime"), ("fp32",), work, silent)
    assert [each.value for each in found] == ["ncnn fp32", None]
    error = found[1].error
    assert isinstance(error, MissingToolError)
    assert "its_wheel is not installed" in error.message
    assert "pip install onnxruntime" in error.remedy


def test_one_error_that_all_have_is_said_once() -> None:
    def work(runtime: str, precision: str) -> None:
        raise ModelError("It is broken.")

    with pytest.raises(ModelError, match=r"^It is broken\.$"):
        try_each(DIGITS, ("ncnn", "onnxruntime"), ("fp32", "fp16"), work, silent)


def test_a_model_that_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    failed = deployx("convert", tmp_path / "broken.onnx", "-o", tmp_path / "b", *BOTH, code=10)
    assert "No runtime" not in failed.stderr
    onnx.save(small_cnn(), tmp_path / "fine.onnx")
    failed = deployx(
        "convert", tmp_path / "fine.onnx", "-o", tmp_path / "b", "--runtime", ",", code=2
    )
    assert "empty entry" in failed.stderr
