"""Whole models with operators of our own: from torch or ONNX, proven, and run on boards."""

from __future__ import annotations

import runpy
import subprocess
import warnings
from collections.abc import Iterator
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
from deployx_edge.errors import MissingToolError, ModelError
from deployx_edge.operator_facts import operators_folder
from deployx_edge.quantization.values import PRESETS
from deployx_edge.resources import host_target_id
from deployx_edge.workflows.boards.session import Session, open_session
from deployx_edge.workflows.convert.bundle import BundleOptions, make_bundle
from deployx_edge.workflows.measure.run import run, run_bundle_here
from deployx_edge.workflows.quantize.quantize import QuantizeOptions, quantize
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


def attention_to_maps(folder: Path) -> Path:
    """Deformable attention under MMDeploy's name: places and weights come from the queries."""
    sizes, heads, points, width, queries = ((6, 8), (3, 4)), 2, 3, 8, 5
    pixels = [height * length for height, length in sizes]
    of_points = (1, queries, heads, len(sizes), points)
    counts = {"places": heads * len(sizes) * points * 2, "shares": heads * len(sizes) * points}
    node = helper.make_node
    nodes = [
        node("Gemm", ["flat", "value_w"], ["projected"]),
        node("Reshape", ["projected", "value_shape"], ["value"]),
        node("Gemm", ["queries", "places_w"], ["places_in"]),
        node("Sigmoid", ["places_in"], ["places_flat"]),
        node("Reshape", ["places_flat", "places_shape"], ["places"]),
        node("Gemm", ["queries", "shares_w"], ["shares_in"]),
        node("Reshape", ["shares_in", "heads_shape"], ["shares_of_heads"]),
        node("Softmax", ["shares_of_heads"], ["shares_flat"], axis=-1),
        node("Reshape", ["shares_flat", "shares_shape"], ["shares"]),
        node(
            "MMCVMultiScaleDeformableAttention",
            ["value", "sizes", "starts", "places", "shares"],
            ["attended"],
            name="attention",
            domain="mmdeploy",
        ),
        node("Relu", ["attended"], ["y"]),
    ]
    constants = {
        "value_shape": (1, sum(pixels), heads, width // heads),
        "places_shape": (*of_points, 2),
        "heads_shape": (queries, heads, len(sizes) * points),
        "shares_shape": of_points,
        "sizes": sizes,
        "starts": (0, pixels[0]),
    }
    made = model(
        nodes,
        {"flat": (sum(pixels), width), "queries": (queries, width)},
        {"y": (1, queries, width)},
        [
            *(constant(name, np.asarray(value, np.int64)) for name, value in constants.items()),
            weights("value_w", width, width),
            *(weights(f"{name}_w", width, count) for name, count in counts.items()),
        ],
        opset=16,
    )
    made.opset_import.append(helper.make_opsetid("mmdeploy", 1))
    return save(made, folder / "attention.onnx")


class RotatedHead(nn.Module):
    """The best of turned boxes, and what of the features lies in them: with NMSRotated and
    RoIAlignRotated as MMDeploy exports them, or without the first by score alone."""

    KEPT, CLASSES = 8, 2

    def __init__(self, suppresses: bool) -> None:
        super().__init__()
        torch.manual_seed(11)
        self.suppresses = suppresses
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.boxes = nn.Conv2d(8, 5, 1)
        self.scores = nn.Conv2d(8, self.CLASSES, 1)
        self.last = nn.Linear(8 * 3 * 2, 4)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = torch.relu(self.stem(image))
        raw = self.boxes(features).flatten(2).transpose(1, 2)
        shares = torch.sigmoid(raw)
        boxes = torch.cat([shares[..., :2] * 16, 1 + 6 * shares[..., 2:4], raw[..., 4:]], dim=-1)
        scores = torch.sigmoid(self.scores(features).flatten(2))
        if self.suppresses:
            kept = NmsRotated.apply(boxes, scores, 0.3, 0.5)
            found = scores[kept[:, 0], kept[:, 1], kept[:, 2]]
            rows = torch.cat([boxes[kept[:, 0], kept[:, 2]], found[:, None]], dim=1)
            rows = torch.cat([rows, rows.new_zeros(self.KEPT, 6)])  # there may be fewer
        else:
            rows = torch.cat([boxes[0], scores[0].amax(0)[:, None]], dim=1)
        best = rows[:, 5].topk(self.KEPT).indices
        rows = rows.gather(0, best[:, None].expand(-1, 6))
        regions = torch.cat([rows.new_zeros(self.KEPT, 1), rows[:, :5]], dim=1)
        seen = RoiAlignRotated.apply(features, regions)
        return rows[None], self.last(seen.flatten(1))[None]


def _by_reference(name: str, *values: torch.Tensor, **attributes: float) -> torch.Tensor:
    """What the operator's definition gives."""
    module = runpy.run_path(str(operators_folder() / name / "reference.py"))
    return torch.from_numpy(module["reference"](*(each.numpy() for each in values), **attributes))


class NmsRotated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, boxes, scores, iou, least):
        return _by_reference("nms_rotated", boxes, scores, iou_threshold=iou, score_threshold=least)

    @staticmethod
    def symbolic(g, boxes, scores, iou, least):
        return g.op(
            "mmdeploy::NMSRotated", boxes, scores, iou_threshold_f=iou, score_threshold_f=least
        )


_WHOLE = {
    "output_height": 3,
    "output_width": 2,
    "sampling_ratio": 2,
    "aligned": 1,
    "clockwise": 0,
}


class RoiAlignRotated(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, regions):
        attributes = {**_WHOLE, "spatial_scale": 0.5}
        return _by_reference("roi_align_rotated", features, regions, **attributes).float()

    @staticmethod
    def symbolic(g, features, regions):
        return g.op(
            "mmdeploy::MMCVRoIAlignRotated",
            features,
            regions,
            spatial_scale_f=0.5,
            **{f"{name}_i": value for name, value in _WHOLE.items()},
        )


def rotated_head(folder: Path, *, suppresses: bool) -> Path:
    path = folder / f"rotated-{suppresses}.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a trace follows no NumPy, which the symbols stand for
        torch.onnx.export(
            RotatedHead(suppresses).eval(),
            (torch.zeros(1, 3, 20, 24),),
            path,
            input_names=["image"],
            output_names=["boxes", "values"],
            opset_version=16,
            dynamo=False,
            custom_opsets={"mmdeploy": 1},
        )
    return path


# The operators of our own that each model is to have in ncnn.
MODELS = {
    "query-selecting-head": ("gather_elements", "top_k"),
    "deformable": ("deform_conv",),
    "attention": ("multi_scale_deformable_attention",),
    "best-regions": ("gather_elements", "roi_align_rotated", "top_k"),
}
# In half floats the head's queries come in another order where two scores are nearly equal.
CASES = [
    *((name, "ncnn", "fp32") for name in MODELS),
    ("deformable", "ncnn", "fp16"),
    ("attention", "onnxruntime", "fp32"),
    ("attention", "onnxruntime", "fp16"),
    ("rotated-head", "onnxruntime", "fp32"),
]
_WORDS = tuple(
    f"{name}:1x{_CHANNELS}x{height}x{width}"
    for name, (height, width) in zip(("large", "small"), _SIZES, strict=True)
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str, str], Bundle]:
    """A bundle was compared with its source when it was made."""
    folder = tmp_path_factory.mktemp("models")
    sources = {
        "query-selecting-head": Path(f"{__name__}:query_selecting_head"),
        "deformable": deformable_network(folder),
        "attention": attention_to_maps(folder),
        "best-regions": rotated_head(folder, suppresses=False),
        "rotated-head": rotated_head(folder, suppresses=True),
    }
    made = {}
    for name, runtime, precision in CASES:
        shapes = _WORDS if name == "query-selecting-head" else ()
        options = BundleOptions(runtime=runtime, precision=precision, input_shapes=shapes)
        made[name, runtime, precision] = make_bundle(sources[name], options=options)
    return made


@pytest.mark.parametrize("name", MODELS)
def test_a_model_has_operators_of_our_own_and_is_proven(
    bundles: dict[tuple[str, str, str], Bundle], name: str
) -> None:
    bundle = bundles[name, "ncnn", "fp32"]
    assert bundle.operators == MODELS[name]
    verification = bundle.provenance.verification
    assert verification.status == "passed"
    assert verification.intermediates is not None
    assert verification.intermediates.compared > 4


def test_onnx_runtime_needs_only_what_onnx_does_not_have(
    bundles: dict[tuple[str, str, str], Bundle],
) -> None:
    assert bundles["attention", "onnxruntime", "fp32"].operators == MODELS["attention"]


def test_a_runtime_without_a_kernel_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="which has no kernel for openvino; it has one for ncnn"):
        make_bundle(attention_to_maps(tmp_path), options=BundleOptions(runtime="openvino"))


def test_what_is_around_an_operator_of_our_own_becomes_int8(tmp_path: Path) -> None:
    images = np.random.default_rng(9).standard_normal((8, 3, 20, 24)).astype(np.float32)
    np.savez(tmp_path / "images.npz", image=images)
    options = QuantizeOptions(
        preset="fast",
        settings=PRESETS["fast"],
        count=len(images),
        bundle=BundleOptions(runtime="onnxruntime"),
    )
    head = rotated_head(tmp_path, suppresses=False)
    made = quantize(head, tmp_path / "images.npz", tmp_path / "int8", options)
    assert made.bundle.operators == ("roi_align_rotated",)
    assert {layer.layer: layer.mode for layer in made.report.layers}["/stem/Conv"] == "calibrated"


def test_boxes_whose_number_depends_on_values_are_refused_for_ncnn(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mmdeploy::NMSRotated of ops/nms_rotated has no kernel"):
        make_bundle(rotated_head(tmp_path, suppresses=True), tmp_path / "bundle")


@pytest.fixture(params=["nothing", "an older library"])
def unbuilt(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place of the builds: nothing, or a library that was made before the operator."""
    folder = tmp_path / host_target_id()
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path))
    if request.param == "nothing":
        return
    folder.mkdir()
    source = tmp_path / "library.c"
    source.write_text("void* RegisterCustomOps(void* o, void* a) { return 0; }\n")
    library = folder / "libdx_operators_onnxruntime.so"
    subprocess.run(["gcc", "-shared", "-fPIC", source, "-o", library], check=True)


@pytest.mark.usefixtures("unbuilt")
@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_without_a_build_of_the_operator_the_command_is_named(tmp_path: Path, runtime: str) -> None:
    options = BundleOptions(runtime=runtime)
    with pytest.raises(MissingToolError, match="MMCVMultiScaleDeformableAttention of ops/mul") as e:
        make_bundle(attention_to_maps(tmp_path), tmp_path / "bundle", options)
    assert e.value.remedy == f"Run 'deployx-edge build --target {host_target_id()}'."


@pytest.mark.parametrize("runtime", ["ncnn", "onnxruntime"])
def test_an_attribute_that_nobody_knows_is_refused(tmp_path: Path, runtime: str) -> None:
    made = onnx.load(attention_to_maps(tmp_path))
    (node,) = (each for each in made.graph.node if each.name == "attention")
    node.attribute.append(helper.make_attribute("zeal", 2))
    path = save(made, tmp_path / "zeal.onnx")
    with pytest.raises(ModelError, match="has the attribute 'zeal', which is not in ops/mul") as e:
        make_bundle(path, tmp_path / "bundle", BundleOptions(runtime=runtime))
    assert e.value.remedy == "Known are im2col_step."


@pytest.fixture(scope="module", params=[*BOARDS, "ssh"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    board = Device(name="board", uri=request.param)
    if request.param == "ssh":
        sshd = request.getfixturevalue("sshd")
        board = Device(
            name="board",
            uri=sshd.uri,
            work_folder=str(sshd.folder / "work"),
            options=sshd.options(),
        )
    with open_session(board) as opened:
        yield opened


@pytest.mark.parametrize(("name", "runtime", "precision"), CASES)
def test_a_board_computes_what_this_computer_does(
    session: Session,
    bundles: dict[tuple[str, str, str], Bundle],
    name: str,
    runtime: str,
    precision: str,
) -> None:
    bundle = bundles[name, runtime, precision]
    random = np.random.default_rng(3)
    inputs = {
        spec.name: random.standard_normal(spec.shape).astype(np.float32) for spec in bundle.inputs
    }
    if name == "rotated-head":
        with torch.no_grad():
            outputs = RotatedHead(True).eval()(torch.from_numpy(inputs["image"]))
        wanted = {"boxes": outputs[0].numpy(), "values": outputs[1].numpy()}
    else:
        wanted = run_bundle_here(bundles[name, "ncnn", "fp32"], inputs)
    found = run(session, bundle, inputs)
    limit = 1e-4 if precision == "fp32" else 2e-2
    for output, right in wanted.items():
        np.testing.assert_allclose(
            found[output].reshape(right.shape), right, atol=limit * np.abs(right).max()
        )
