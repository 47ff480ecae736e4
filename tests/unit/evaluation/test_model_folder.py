"""A folder that holds a model with its data, and those that do not."""

from pathlib import Path

import pytest

from deployx_edge.errors import UsageError
from deployx_edge.workflows.evaluate.model_folder import read_model_folder


def folder_with(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    return folder


def test_model_and_data_are_found_by_their_names(tmp_path):
    folder = folder_with(tmp_path / "a", "net.onnx", "net_test.npz", "net_calibration.npz", "x.png")
    found = read_model_folder(folder)
    assert found.model == folder / "net.onnx"
    assert found.dataset == folder / "net_test.npz"
    assert found.calibration == folder / "net_calibration.npz"
    plain = folder_with(tmp_path / "b", "net.onnx", "net_test.npz")
    assert read_model_folder(plain).calibration is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), r"one file \*\.onnx in .*found none"),
        (("a.onnx", "b.onnx", "a_test.npz"), r"one file \*\.onnx in .*found a\.onnx, b\.onnx"),
        (("a.onnx",), r"one file \*_test\.npz in .*found none"),
        (("bundle.json", "a.onnx", "a_test.npz"), "is measured on data, and none was named"),
    ],
)
def test_what_is_not_one_of_each_is_refused_with_what_is_there(tmp_path, names, said):
    with pytest.raises(UsageError, match=said) as caught:
        read_model_folder(folder_with(tmp_path / "a", *names))
    assert "--dataset" in caught.value.remedy


def test_a_file_alone_needs_a_dataset(tmp_path):
    with pytest.raises(UsageError, match=r"net\.onnx is measured on data"):
        read_model_folder(tmp_path / "net.onnx")
