"""Whole models with operators of our own: from torch or ONNX, proven, and run on boards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn
from torch.nn import functional

from deployx_edge.bundle import Bundle
from deployx_edge.device import Device
from deployx_edge.runtimes.ncnn.files import read_param
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run, run_bundle_here
from tests.integration.models.onnx_models import constant, model, save, weights

BOARDS = ("local:", "virtual:linux-arm64?cpu=cortex-a53", "virtual:linux-arm64?cpu=cortex-a76")
_CHANNELS, _QUERIES, _CLASSES, _POINTS = 16, 12, 5, 4
_SIZES = ((10, 12), (5, 6))


class QuerySelectingHead(nn.Module):
    """What RT-DETR's decoder does: the best of all pixels become queries, which attend to a few
    places of each map, and are told their boxes and classes."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(_CHANNELS, _CLASSES)
        self.anchor = nn.Linear(_CHANNELS, 4)
        self.places = nn.Linear(_CHANNELS, 2 * len(_SIZES) * _POINTS)
        self.weight = nn.Linear(_CHANNELS, len(_SIZES) * _POINTS)
        self.box = nn.Linear(_CHANNELS, 4)
        self.label = nn.Linear(_CHANNELS, _CLASSES)

    def forward(self, large: torch.Tensor, small: torch.Tensor) -> tuple[torch.Tensor, ...]:
        memory = torch.cat([each.flatten(2).transpose(1, 2) for each in (large, small)], 1)
        best = self.score(memory).max(-1).values.topk(_QUERIES, dim=1).indices.unsqueeze(-1)
        queries = memory.gather(1, best.expand(-1, -1, _CHANNELS))
        anchors = self.anchor(memory).gather(1, best.expand(-1, -1, 4)).sigmoid()
        queries = queries + self._attend(queries, anchors, (large, small))
        return anchors + 0.1 * self.box(queries).tanh(), self.label(queries)

    def _attend(
        self, queries: torch.Tensor, anchors: torch.Tensor, maps: tuple[torch.Tensor, ...]
    ) -> torch.Tensor:
        shape = (1, _QUERIES, len(_SIZES), _POINTS)
        moves = self.places(queries).tanh().reshape(*shape, 2)
        grid = 2 * anchors[:, :, None, None, :2] + moves - 1
        shares = self.weight(queries).softmax(-1).reshape(shape)
        found = [
            functional.grid_sample(each, grid[:, :, level], align_corners=False)
            * shares[:, None, :, level]
            for level, each in enumerate(maps)
        ]
        return torch.stack([each.sum(-1) for each in found]).sum(0).transpose(1, 2)


def query_selecting_head() -> nn.Module:
    """The factory that ``module:factory`` names."""
    torch.manual_seed(7)
    return QuerySelectingHead()


def deformable_network(folder: Path) -> Path:
    """Two deformable convolutions whose offsets and masks are computed, one with groups."""

    def deformable(name: str, source: str, group: int) -> list[onnx.NodeProto]:
        window = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
        return [
            helper.make_node("Conv", [source, f"{name}_wo"], [f"{name}_offset"], **window),
            helper.make_node("Conv", [source, f"{name}_wm"], [f"{name}_mask_in"], **window),
            helper.make_node("Sigmoid", [f"{name}_mask_in"], [f"{name}_mask"]),
            helper.make_node(
                "DeformConv",
                [source, f"{name}_w", f"{name}_offset", f"{name}_b", f"{name}_mask"],
                [f"{name}_out"],
                name=name,
                offset_group=group,
                **window,
            ),
            helper.make_node("Relu", [f"{name}_out"], [f"{name}_y"]),
        ]

    def constants(name: str, channels: int, outputs: int, group: int) -> list[onnx.TensorProto]:
        return [
            weights(f"{name}_wo", 18 * group, channels, 3, 3, scale=0.2),
            weights(f"{name}_wm", 9 * group, channels, 3, 3),
            weights(f"{name}_w", outputs, channels, 3, 3),
            weights(f"{name}_b", outputs),
        ]

    made = model(
        [
            *deformable("first", "image", 1),
            helper.make_node(
                "MaxPool", ["first_y"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]
            ),
            *deformable("second", "pooled", 2),
            helper.make_node("GlobalAveragePool", ["second_y"], ["mean"]),
            helper.make_node("Reshape", ["mean", "flat"], ["row"]),
            helper.make_node("Gemm", ["row", "w", "b"], ["scores"], transB=1),
        ],
        {"image": (1, 3, 24, 20)},
        {"scores": (1, 6)},
        [
            *constants("first", 3, 8, 1),
            *constants("second", 8, 16, 2),
            constant("flat", np.asarray([1, 16], dtype=np.int64)),
            weights("w", 6, 16),
            weights("b", 6),
        ],
        opset=19,
        ir_version=10,
    )
    return save(made, folder / "deformable.onnx")


# The layers of our own that each model is to have.
MODELS = {
    "query-selecting-head": {"dx.gather_elements", "dx.top_k"},
    "deformable": {"dx.deform_conv"},
}
_WORDS = tuple(
    f"{name}:1x{_CHANNELS}x{height}x{width}"
    for name, (height, width) in zip(("large", "small"), _SIZES, strict=True)
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Bundle]:
    """Each in fp32 and fp16; a bundle was compared with its source when it was made."""
    deformable = deformable_network(tmp_path_factory.mktemp("models"))
    made = {}
    for precision in ("fp32", "fp16"):
        options = BundleOptions(precision=precision)
        made["deformable", precision] = make_bundle(deformable, options=options)
        made["query-selecting-head", precision] = make_bundle(
            Path(f"{__name__}:query_selecting_head"), options=replace(options, input_shapes=_WORDS)
        )
    return made


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_layers_of_our_own_and_is_proven(
    bundles: dict[tuple[str, str], Bundle], name: str
) -> None:
    bundle = bundles[name, "fp32"]
    types = {layer.type for layer in read_param(bundle.path("param"))}
    assert {each for each in types if each.startswith("dx.")} == MODELS[name]
    verification = bundle.provenance.verification
    assert verification.status == "passed"
    assert verification.intermediates is not None
    assert verification.intermediates.compared > 4


@pytest.fixture(scope="module", params=BOARDS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    with open_session(Device(name="board", uri=request.param)) as opened:
        yield opened


# In half floats the head's queries come in another order where two scores are nearly equal.
@pytest.mark.parametrize(
    ("name", "precision"),
    [("query-selecting-head", "fp32"), ("deformable", "fp32"), ("deformable", "fp16")],
)
def test_a_board_computes_what_this_computer_does(
    session: Session, bundles: dict[tuple[str, str], Bundle], name: str, precision: str
) -> None:
    bundle = bundles[name, precision]
    random = np.random.default_rng(3)
    inputs = {
        spec.name: random.standard_normal(spec.shape).astype(np.float32) for spec in bundle.inputs
    }
    wanted = run_bundle_here(bundles[name, "fp32"], inputs)
    found = run(session, bundle, inputs)
    limit = 1e-4 if precision == "fp32" else 2e-2
    for output, right in wanted.items():
        np.testing.assert_allclose(
            found[output].reshape(right.shape), right, atol=limit * np.abs(right).max()
        )
