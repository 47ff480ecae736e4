"""Checkpoints as trainers write them, and files that are none: read, or named as what they are."""

from __future__ import annotations

import os
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from deployx_edge.errors import ModelError
from deployx_edge.sources.onnx.file import read_onnx
from deployx_edge.sources.torch.model import TorchSource, load_torch
from deployx_edge.workflows.convert.bundle import make_bundle
from tests.integration.models import torch_models

FACTORY = "tests.integration.models.torch_models:small"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 44673864\n"


def trained() -> torch.nn.Module:
    """The factory's network with other weights than the factory gives."""
    network = torch_models.small()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return network


def loaded(path: Path) -> dict[str, torch.Tensor]:
    model = load_torch(TorchSource(reference=FACTORY, checkpoint=path))
    return dict(model.state_dict())


def assert_trained(state: Mapping[str, torch.Tensor]) -> None:
    for name, tensor in trained().state_dict().items():
        torch.testing.assert_close(state[name], tensor)


def refusal(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        loaded(path)
    text = str(caught.value)
    assert "weights_only" not in text and "safe_globals" not in text
    assert "\n" not in text
    return text


RAN: list[str] = []


def _ran(*_: object, **__: object) -> None:
    RAN.append("it ran")


class HistoryBuffer:
    """As a trainer's class: its methods must not run when a checkpoint is read."""

    def __init__(self, values: object) -> None:
        self.history = values

    __setstate__ = _ran


class Configuration(dict[str, object]):
    """A dictionary of a class of its own; items come one by one."""

    __setitem__ = _ran  # type: ignore[assignment]


class Listed(list[object]):
    append = extend = _ran  # type: ignore[assignment]


class Called:
    def __reduce__(self) -> tuple[Any, ...]:
        return _ran, (1,)


@pytest.fixture
def foreign() -> Iterator[types.ModuleType]:
    """A module that is there when a checkpoint is written, as that of a training library."""
    module = types.ModuleType("mmengine_stand_in.logging")
    sys.modules["mmengine_stand_in"] = types.ModuleType("mmengine_stand_in")
    sys.modules[module.__name__] = module
    for kind in (HistoryBuffer, Configuration, Listed, Called):
        kind.__module__ = module.__name__
        setattr(module, kind.__name__, kind)
    _ran.__module__ = module.__name__
    module._ran = _ran  # type: ignore[attr-defined]
    RAN.clear()
    yield module
    for name in ("mmengine_stand_in", "mmengine_stand_in.logging"):
        sys.modules.pop(name, None)


def runner_checkpoint() -> dict[str, object]:
    """What mmengine's Runner saves, by stand-ins of its classes."""
    network = trained()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    history = np.array([[1.5, 1.0], [0.5, 1.0]])
    configuration = Configuration()
    dict.__setitem__(configuration, "max_keep_ckpts", 3)
    listed = Listed()
    list.append(listed, HistoryBuffer(1))
    return {
        "meta": {"epoch": 3, "cfg": "model = dict()", "palette": np.arange(6).reshape(2, 3)},
        "state_dict": network.state_dict(),
        "message_hub": {
            "log_scalars": OrderedDict({"train/loss": HistoryBuffer(history)}),
            "runtime_info": OrderedDict({"epoch": 3, "cfg": configuration, "all": listed}),
            "called": Called(),
            "kinds": {HistoryBuffer, np.float32},
        },
        "optimizer": optimizer.state_dict(),
        "param_schedulers": [{"last_step": 3, "gamma": np.float64(0.1)}],
    }


@pytest.mark.parametrize("is_there", [False, True])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_runners_checkpoint_gives_its_weights(
    tmp_path: Path, foreign: types.ModuleType, zipped: bool, is_there: bool
) -> None:
    path = tmp_path / "epoch_3.pth"
    torch.save(runner_checkpoint(), path, _use_new_zipfile_serialization=zipped)
    if not is_there:
        sys.modules.pop("mmengine_stand_in.logging")
        sys.modules.pop("mmengine_stand_in")
    RAN.clear()
    assert_trained(loaded(path))
    assert not RAN


@pytest.mark.parametrize(
    "prefix",
    ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."],
)
def test_names_that_wrappers_changed(tmp_path: Path, prefix: str) -> None:
    state = {f"{prefix}{name}": tensor for name, tensor in trained().state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a.pt")
    assert_trained(loaded(tmp_path / "a.pt"))


def test_a_part_that_was_compiled(tmp_path: Path) -> None:
    network = trained()
    state = {
        name.replace("first.", "first._orig_mod."): tensor
        for name, tensor in network.state_dict().items()
    }
    assert any("_orig_mod" in name for name in state)
    torch.save(state, tmp_path / "a.pt")
    assert_trained(loaded(tmp_path / "a.pt"))


def test_a_factory_that_compiles_or_parallelises_gives_the_module_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Another backend than the default, whose import alone takes ten seconds.
    for wrap in (partial(torch.compile, backend="eager"), torch.nn.DataParallel):
        monkeypatch.setattr(torch_models, "wrapped", lambda w=wrap: w(trained()), raising=False)
        model = load_torch(TorchSource(reference="tests.integration.models.torch_models:wrapped"))
        assert type(model) is torch_models.Small


def test_what_wants_to_run_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "trap"),)

    state = trained().state_dict()
    torch.save({"state_dict": state, "extra": Evil()}, tmp_path / "beside.pt")
    assert_trained(loaded(tmp_path / "beside.pt"))
    torch.save({**state, "last.bias": Evil()}, tmp_path / "inside.pt")
    assert "wants to run code" in refusal(tmp_path / "inside.pt")
    torch.save(Evil(), tmp_path / "whole.pt")
    assert "wants to run code" in refusal(tmp_path / "whole.pt")
    assert not (tmp_path / "trap").exists()


@pytest.mark.filterwarnings("ignore")  # TorchScript is on its way out
def test_other_files_given_as_checkpoints_are_named(tmp_path: Path) -> None:
    image = torch.rand(1, 3, 8, 8)
    torch.jit.save(torch.jit.trace(trained(), image), tmp_path / "script.pt")
    assert "script.pt is TorchScript, a whole model" in refusal(tmp_path / "script.pt")
    torch.export.save(torch.export.export(trained(), (image,)), tmp_path / "program.pt2")
    assert "program.pt2 is a program of torch.export" in refusal(tmp_path / "program.pt2")
    (tmp_path / "text.pth").write_text("<html>not found</html>")
    assert "is not a checkpoint: torch.save did not write it" in refusal(tmp_path / "text.pth")
    torch.save(trained().state_dict(), tmp_path / "whole.pt")
    whole = (tmp_path / "whole.pt").read_bytes()
    for size in (len(whole) // 2, len(whole) - 100):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        assert "only a part of it" in refusal(tmp_path / "cut.pt")
    for name, words in (("program.pt2", "name.pt"), ("script.pt", "name.pt2")):
        (tmp_path / words).write_bytes((tmp_path / name).read_bytes())
    with pytest.raises(ModelError, match=r"is a program of torch\.export, not TorchScript"):
        load_torch(TorchSource(reference=str(tmp_path / "name.pt")))
    with pytest.raises(ModelError, match=r"not an archive of torch\.export, but TorchScript"):
        load_torch(TorchSource(reference=str(tmp_path / "name.pt2")))


@pytest.mark.parametrize("content", ["", POINTER, POINTER.replace("\n", "\r\n")])
def test_empty_files_and_pointers_are_named(tmp_path: Path, content: str) -> None:
    words = r"is a pointer of git-lfs, not the file of 44673864 bytes" if content else "is empty"
    for name in ("a.pt", "a.pt2", "a.pth", "a.onnx", "a.param"):
        path = tmp_path / name
        path.write_bytes(content.encode())
        path.with_suffix(".bin").write_bytes(b"\0" * 4)
        with pytest.raises(ModelError, match=words) as caught:
            make_bundle(path, tmp_path / "bundle", input_shapes=("x:1x3x8x8",) * (".p" in name))
        assert "git lfs pull" in str(caught.value) or not content
    (tmp_path / "checkpoint.pth").write_bytes(content.encode())
    assert words.partition(",")[0] in refusal(tmp_path / "checkpoint.pth")


@pytest.mark.parametrize("content", ["", POINTER])
def test_weights_beside_an_onnx_file_are_named_too(tmp_path: Path, content: str) -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], np.ones(4, np.float32))
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight), "w")],
    )
    model = helper.make_model(graph)
    onnx.save(
        model,
        tmp_path / "a.onnx",
        save_as_external_data=True,
        location="a.onnx_data",
        size_threshold=0,
    )
    (tmp_path / "a.onnx_data").write_text(content)
    words = "a.onnx_data is a pointer of git-lfs" if content else "a.onnx_data is empty"
    with pytest.raises(ModelError, match=words):
        read_onnx(tmp_path / "a.onnx", {})
