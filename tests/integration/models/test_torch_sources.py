"""Models from PyTorch: what comes in right comes out right, and what does not is refused."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from deployx_edge.errors import DeployxError, ModelError, UsageError
from deployx_edge.model import parse_inputs
from deployx_edge.workflows.convert import exports
from deployx_edge.workflows.convert import models as story
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.measure.run import run_bundle_here
from tests.integration.models import torch_models

HERE = "tests.integration.models.torch_models"
IMAGE = ("image:1x3x8x8",)


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).random(shape, dtype=np.float32)


def torch_gives(network: torch.nn.Module, *arrays: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = network(*(torch.from_numpy(array) for array in arrays))
    return found


def made(reference: str, folder: Path, inputs: tuple[str, ...] = IMAGE, **options: object):
    torch_options = TorchOptions(**options)  # type: ignore[arg-type]
    chosen = BundleOptions(input_shapes=inputs, torch=torch_options)
    return make_bundle(Path(reference), folder / "bundle", chosen)


def saved(network: torch.nn.Module, path: Path) -> Path:
    """As TorchScript (.pt) or as an exported program (.pt2)."""
    example = torch.zeros(1, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is on its way out
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(network, (example,)), path)
        else:
            torch.jit.save(torch.jit.trace(network, example), path)
    return path


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_a_factory_with_a_checkpoint(tmp_path: Path, exporter: str) -> None:
    network = torch_models.small(channels=12)
    torch.nn.init.normal_(network.last.weight)
    torch.save({"epoch": 3, "state_dict": network.state_dict()}, tmp_path / "best.pt")
    bundle = made(
        f"{HERE}:small",
        tmp_path,
        checkpoint=tmp_path / "best.pt",
        factory_arguments='{"channels": 12}',
        exporter=exporter,
    )
    array = image(1, 3, 8, 8)
    found = run_bundle_here(bundle, {"image": array})["output"]
    np.testing.assert_allclose(found, torch_gives(network, array), rtol=1e-4, atol=1e-5)
    assert dict(bundle.provenance.tools)["torch"] == f"{torch.__version__} {exporter}"
    assert bundle.provenance.source_file == f"{HERE}:small"
    text = (bundle.folder / "small.param").read_text()
    assert "/first/0/Conv" in text or "/first/first.0/Conv" in text


@pytest.mark.parametrize("suffix", [".pt", ".pt2"])
def test_files_are_exported_once(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYX_EDGE_CACHE", str(tmp_path / "cache"))
    path = saved(torch_models.small(), tmp_path / f"small{suffix}")
    inputs = IMAGE if suffix == ".pt" else ()
    bundle = made(str(path), tmp_path, inputs)
    array = image(1, 3, 8, 8)
    (name,) = [spec.name for spec in bundle.inputs]
    (found,) = run_bundle_here(bundle, {name: array}).values()
    wanted = torch_gives(torch_models.small(), array)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert bundle.provenance.source_sha256 == story.sha256_of(path)
    monkeypatch.setattr(exports, "load_torch", lambda _: pytest.fail("it was loaded again"))
    assert made(str(path), tmp_path, inputs).files == bundle.files


def test_several_inputs_and_nested_outputs_have_names(tmp_path: Path) -> None:
    inputs = ("weight:1x3x8x8", "image:1x3x8x8")  # by name, not in the order of the arguments
    bundle = made(f"{HERE}:two_inputs", tmp_path, inputs)
    assert [spec.name for spec in bundle.inputs] == ["weight", "image"]
    assert [spec.name for spec in bundle.outputs] == ["sum", "both_0"]
    first, second = image(1, 3, 8, 8), 1 + image(1, 3, 8, 8)
    found = run_bundle_here(bundle, {"image": first, "weight": second})
    wanted = torch_gives(torch_models.two_inputs(), first, second)
    np.testing.assert_allclose(found["sum"], wanted["sum"], rtol=1e-5, atol=1e-5)


def test_fields_of_named_tuples_name_outputs(tmp_path: Path) -> None:
    bundle = made(f"{HERE}:named", tmp_path)
    assert [spec.name for spec in bundle.outputs] == ["boxes", "scores"]


def test_another_exporter_is_said_aloud(tmp_path: Path) -> None:
    told: list[object] = []
    chosen = BundleOptions(input_shapes=IMAGE)
    bundle = make_bundle(Path(f"{HERE}:branching"), tmp_path / "b", chosen, progress=told.append)
    (note,) = bundle.provenance.notes
    assert "(dynamo) cannot export the model" in note
    assert note.endswith("The exporter torchscript could.")
    assert any("cannot export" in getattr(event, "text", "") for event in told)
    with pytest.raises(ModelError, match=r"\(dynamo\) cannot export"):
        made(f"{HERE}:branching", tmp_path, exporter="dynamo")


def test_an_export_that_computes_something_else_is_refused(tmp_path: Path) -> None:
    rewriter = tmp_path / "wrong.py"
    rewriter.write_text(
        "from deployx_edge.rewriting import function_rewriter\n"
        "@function_rewriter('torch.nn.functional.relu', runtime='ncnn')\n"
        "def relu(context, tensor, inplace=False):\n"
        "    return context.original(tensor) * 1.01\n"
    )
    words = ["convert", f"{HERE}:small", "--input", IMAGE[0], "--rewriter", str(rewriter)]
    done = subprocess.run(  # in a process of its own: rewriters are registered for good
        [sys.executable, "-m", "deployx_edge", *words, "-o", str(tmp_path / "bundle")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ModelError.exit_code
    assert "The outputs of what was exported differ from the module's" in done.stderr
    assert not (tmp_path / "bundle").exists()


class Evil:
    """Its pickle creates a file when it is read by a careless reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def evil_program(folder: Path, trap: Path) -> Path:
    """A program of torch.export whose example inputs are a pickle that runs code."""
    good = saved(torch_models.small(), folder / "good.pt2")
    bad = folder / "bad.pt2"
    pickle = io.BytesIO()
    torch.save(((Evil(trap),), {}), pickle)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as target:
        for name in source.namelist():
            inputs = name.endswith("sample_inputs/model.pt")
            target.writestr(name, pickle.getvalue() if inputs else source.read(name))
    return bad


def test_no_pickle_runs_code(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    torch.save({"first.0.weight": Evil(trap)}, tmp_path / "evil.pt")
    torch.save(torch_models.small(), tmp_path / "whole.pt")
    for name in ("evil.pt", "whole.pt"):
        with pytest.raises(ModelError, match="is not a TorchScript file"):
            made(str(tmp_path / name), tmp_path)
        with pytest.raises(ModelError, match="wants to run code"):
            made(f"{HERE}:small", tmp_path, checkpoint=tmp_path / name)
    with pytest.raises(ModelError, match="wants to run code"):
        made(str(evil_program(tmp_path, trap)), tmp_path, ())
    assert not trap.exists()


REFUSED = [
    ("small", (), {}, UsageError, "does not say the shapes of its inputs"),
    ("small", ("image:1x4x8x8",), {}, UsageError, r"does not run on image \(1, 4, 8, 8\)"),
    ("absent", IMAGE, {}, UsageError, "has no 'absent'"),
    ("smal", IMAGE, {}, UsageError, "Did you mean small"),
    ("no_module", IMAGE, {}, UsageError, "gave str; a factory gives a torch.nn.Module"),
    ("broken", IMAGE, {}, UsageError, "RuntimeError: no weights today"),
    ("diverged", IMAGE, {}, ModelError, "'first.0.weight' .* hold NaN"),
    ("small", IMAGE, {"factory_arguments": "{"}, UsageError, "--factory-args is not JSON"),
    ("small", IMAGE, {"factory_arguments": '{"size": 1}'}, UsageError, "unexpected keyword"),
    ("small", IMAGE, {"exporter": "magic"}, UsageError, "The exporter is auto, dynamo"),
    ("small", IMAGE, {"checkpoint": Path("absent.pt")}, UsageError, "does not exist"),
    ("embedded", ("ids:1x7:int64", "mask:1x7"), {}, ModelError, "'ids' .* is int64; ncnn"),
    ("convolutional", ("x:1x3x{8..16}x8",), {}, ModelError, "axes that stay open"),
]


@pytest.mark.parametrize(("factory", "inputs", "options", "kind", "words"), REFUSED)
def test_what_is_refused(
    tmp_path: Path,
    factory: str,
    inputs: tuple[str, ...],
    options: dict[str, object],
    kind: type[DeployxError],
    words: str,
) -> None:
    with pytest.raises(kind, match=words) as caught:
        made(f"{HERE}:{factory}", tmp_path, inputs, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "bundle").exists()


def test_a_checkpoint_that_does_not_fit_names_the_keys(tmp_path: Path) -> None:
    state = torch_models.small(channels=5).state_dict()
    state["extra"] = state.pop("last.bias")
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ModelError) as caught:
        made(f"{HERE}:small", tmp_path, checkpoint=tmp_path / "other.pt")
    text = str(caught.value)
    assert "missing 'last.bias'; unexpected 'extra'; misshapen 'first.0.weight'" in text
    assert "and " in text.partition("misshapen")[2]  # only the first few are named


def test_a_broken_archive(tmp_path: Path) -> None:
    for name in ("a.pt", "a.pt2"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not an archive")
        with pytest.raises(ModelError):
            made(str(tmp_path / name), tmp_path)


def test_exported_files_say_nothing_of_this_computer(tmp_path: Path) -> None:
    requests = parse_inputs(IMAGE)
    with story.open_source_model(Path(f"{HERE}:small"), TorchOptions(), requests) as opened:
        assert str(Path.cwd()).encode() not in opened.path.read_bytes()
        onnx.checker.check_model(onnx.load(opened.path), full_check=True)
