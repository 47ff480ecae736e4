"""Marks: what they leave in an exported model, taking them out, and cutting at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
import torch

from deployx_edge.errors import UsageError
from deployx_edge.graph.marks import find_marks, marks_meant, without_marks
from deployx_edge.model import MARK_DOMAIN, MARK_OPERATOR
from deployx_edge.rewriting import Registry, RewriteRequest, mark, rewriting
from deployx_edge.sources.onnx.extraction import extract
from tests.integration.models.rewriter_helper import (
    EXPORTERS,
    assert_same,
    export,
    marked_by_hand,
    run_onnx,
    write_onnx,
)

by_exporter = pytest.mark.parametrize("exporter", EXPORTERS)


class Detector(torch.nn.Module):
    """A backbone, a marked neck that runs twice, and a marked head with boxes and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.neck = torch.nn.Conv2d(4, 4, 1)
        self.head = torch.nn.Conv2d(4, 6, 1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.detect(torch.relu(self.backbone(image)))

    @mark("detector", inputs=("features",), outputs=("boxes", "scores"))
    def detect(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = self.head(self.refine(self.refine(x)))
        return found[:, :4] * 2, torch.sigmoid(found[:, 4:])

    @mark("neck")
    def refine(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.neck(x))


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


def image(seed: int = 0) -> torch.Tensor:
    return torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(seed))


def marked(
    model: torch.nn.Module, inputs: list[torch.Tensor], folder: Path, exporter: str
) -> onnx.ModelProto:
    return export(model, inputs, folder / "m.onnx", Registry(), exporter=exporter).model


@by_exporter
def test_marks_say_what_goes_in_and_comes_out(tmp_path: Path, exporter: str) -> None:
    found = marked(Detector(), [image()], tmp_path, exporter)
    assert {str(entry) for entry in find_marks(found)} == {
        "detector[0]:input/features",
        "neck[0]:input/x",
        "neck[0]:output/output",
        "neck[1]:input/x",
        "neck[1]:output/output",
        "detector[0]:output/boxes",
        "detector[0]:output/scores",
    }
    for entry in find_marks(found):
        (node,) = [node for node in found.graph.node if entry.behind in node.output]
        assert (node.op_type, node.domain) == (MARK_OPERATOR, MARK_DOMAIN)
        assert list(node.input) == [entry.before]
    versions = {entry.domain: entry.version for entry in found.opset_import}
    assert versions[MARK_DOMAIN] == 1


@by_exporter
def test_without_marks_it_computes_what_torch_does(tmp_path: Path, exporter: str) -> None:
    model = Detector()
    found = marked(model, [image()], tmp_path, exporter)
    before = found.SerializeToString()
    bare = without_marks(found)
    assert found.SerializeToString() == before
    assert [value.name for value in bare.graph.output] == [
        value.name for value in found.graph.output
    ]
    assert [entry.domain for entry in bare.opset_import] == [""]
    assert find_marks(bare) == ()
    onnx.checker.check_model(bare, full_check=True)
    assert_same(run_onnx(bare, [image()]), model(image()))


@by_exporter
def test_a_part_between_marks_computes_what_its_function_does(
    tmp_path: Path, exporter: str
) -> None:
    model = Detector()
    found = marked(model, [image()], tmp_path, exporter)
    features = torch.relu(torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(1)))
    detector = extract(found, ["detector:input"], ["detector:output"])
    assert (detector.inputs, detector.outputs) == (("features",), ("boxes", "scores"))
    # The neck's marks lie within; the first is at the border, and so is left out.
    assert {str(entry) for entry in find_marks(detector.model)} == {
        "neck[0]:output/output",
        "neck[1]:input/x",
        "neck[1]:output/output",
    }
    onnx.checker.check_model(detector.model)
    shapes = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*detector.model.graph.input, *detector.model.graph.output)
    ]
    assert shapes == [[1, 4, 8, 8], [1, 4, 8, 8], [1, 2, 8, 8]]
    with torch.no_grad():
        assert_same(run_onnx(without_marks(detector.model), [features]), model.detect(features))
        neck = extract(found, ["neck[1]:input"], ["neck[1]:output"])
        assert find_marks(neck.model) == ()
        assert_same(run_onnx(neck.model, [features]), model.refine(features))
        head = extract(found, ["neck[1]:output"], ["detector:output/scores"])
        wanted = torch.sigmoid(model.head(features)[:, 4:])
        assert_same(run_onnx(head.model, [features]), wanted)
        assert (head.inputs, head.outputs) == (("output",), ("scores",))
        backbone = extract(found, [], ["detector:input"])
        assert_same(run_onnx(backbone.model, [image()]), torch.relu(model.backbone(image())))


class Nested(torch.nn.Module):
    """Nests of all kinds go in and come out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pair, named, more = self.work({"a": [x, x + 1]}, 2.0, Pair(x - 1, x * 2), extra=(x, None))
        return pair.left + pair.right + named["sum"] + more[0][0] + more[1]

    @mark("work", inputs=("table", "pair", "extra"), outputs=("pair", "named", "more"))
    def work(self, table: Any, factor: float, pair: Pair, *, extra: Any) -> Any:
        assert isinstance(pair, Pair)
        assert extra[1] is None
        first, second = table["a"]
        return (
            Pair(pair.right * factor, pair.left),
            {"sum": first + second, "text": "no tensor"},
            [(extra[0],), second],
        )


@by_exporter
def test_nests_are_walked(tmp_path: Path, exporter: str) -> None:
    x = torch.arange(6.0).reshape(2, 3)
    found = marked(Nested(), [x], tmp_path, exporter)
    assert {f"{entry.kind}/{entry.tensor}" for entry in find_marks(found)} == {
        "input/table.a.0",
        "input/table.a.1",
        "input/pair.0",
        "input/pair.1",
        "input/extra.0",
        "output/pair.0",
        "output/pair.1",
        "output/named.sum",
        "output/more.0.0",
        "output/more.1",
    }
    assert_same(run_onnx(without_marks(found), [x]), Nested()(x))
    assert len(marks_meant(found, "work:output/more")) == 2
    assert len(marks_meant(found, "work:output/more.0")) == 1


@by_exporter
def test_tensors_of_all_types_can_be_marked(tmp_path: Path, exporter: str) -> None:
    @mark("typed", inputs=("a", "b"), outputs=("c",))
    def typed(*tensors: torch.Tensor) -> torch.Tensor:
        whole, test = tensors
        return torch.where(test, whole, whole * 2)

    class Model(torch.nn.Module):
        def forward(self, whole: torch.Tensor) -> torch.Tensor:
            return typed(whole, whole > 2) + 1

    x = torch.arange(4)
    found = marked(Model(), [x], tmp_path, exporter)
    assert [entry.tensor for entry in find_marks(found)] == ["a", "b", "c"]
    assert_same(run_onnx(without_marks(found), [x]), Model()(x))


@by_exporter
def test_a_dictionary_says_which_is_which(tmp_path: Path, exporter: str) -> None:
    @mark("by_key", outputs=("boxes", "scores"))
    def by_key(x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": x + 1, "boxes": x * 2}

    @mark("by_order", outputs=("boxes", "scores"))
    def by_order(x: torch.Tensor) -> dict[str, Any]:
        return {"a.1": x + 3, "a": (x * 4,)}

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            one, other = by_key(x), by_order(x)
            return [one["scores"], one["boxes"], other["a.1"], other["a"][0]]

    x = torch.arange(3.0)
    found = marked(Model(), [x], tmp_path, exporter)
    wanted = {
        "by_key:output/scores": x + 1,
        "by_key:output/boxes": x * 2,
        "by_order:output/boxes": x + 3,
        "by_order:output/scores": x * 4,
    }
    for reference, tensor in wanted.items():
        assert_same(run_onnx(extract(found, [], [reference]).model, [x]), tensor)
    assert "by_order[0]:output/scores.0" in {str(entry) for entry in find_marks(found)}


WRONG = {
    "a name for nothing": (
        {"outputs": ("a",), "nothing": True},
        r"The mark 'm' names 1 outputs \(a\); tensors are in 0 \(none\)",
    ),
    "too many outputs": (
        {"outputs": ("a", "b", "c")},
        r"The mark 'm' names 3 outputs \(a, b, c\); tensors are in 2 \(0, 1\)",
    ),
    "too few inputs": (
        {"inputs": ("a",)},
        r"The mark 'm' names 1 inputs \(a\); tensors are in 2 \(x, y\)",
    ),
}


@by_exporter
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_number_of_names_is_told(tmp_path: Path, exporter: str, wrong: str) -> None:
    names, message = WRONG[wrong]
    names = dict(names)
    nothing = names.pop("nothing", False)

    @mark("m", **names)  # type: ignore[arg-type]
    def function(x: torch.Tensor, y: torch.Tensor) -> Any:
        return None if nothing else (x + y, x - y)

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return function(x, x * 2)

    with pytest.raises(UsageError, match=message):
        marked(Model(), [torch.ones(2)], tmp_path, exporter)


def test_names_that_a_reference_could_not_hold() -> None:
    with pytest.raises(UsageError, match="'a:b' cannot be the name of a mark"):
        mark("a:b")
    with pytest.raises(UsageError, match=r"'x/y' cannot be the name"):
        mark("a", outputs=("x/y",))


@by_exporter
def test_marks_are_left_in_exports_within_rewriting_only(tmp_path: Path, exporter: str) -> None:
    model = Detector().eval()
    path = tmp_path / "m.onnx"
    write_onnx(model, [image()], exporter, path)
    assert find_marks(onnx.load(path)) == ()
    context = rewriting(RewriteRequest(exporter=exporter), model, registry=Registry())
    with context as rewritten:
        assert_same([x.detach().numpy() for x in rewritten(image())], model(image()))
        for _ in range(2):  # each export counts its calls from 0
            write_onnx(rewritten, [image()], exporter, path)
            assert {entry.call for entry in find_marks(onnx.load(path))} == {0, 1}


# --- references -------------------------------------------------------------------------------


def test_references_that_mean_nothing_or_too_much(tmp_path: Path) -> None:
    found = marked(Detector(), [image()], tmp_path, "torchscript")
    with pytest.raises(UsageError, match="has no mark 'detector:output/boxs'") as caught:
        marks_meant(found, "detector:output/boxs")
    assert "detector:output/boxes" in str(caught.value)
    assert "neck[1]:input/x" in str(caught.value)
    with pytest.raises(UsageError, match="'neck' was called 2 times") as caught:
        marks_meant(found, "neck:input")
    assert r"Write neck[0]:input, or [1]" in str(caught.value)
    with pytest.raises(UsageError, match="'neck' does not refer to a mark"):
        marks_meant(found, "neck")
    with pytest.raises(UsageError, match="no tensor 'm:input', and no marks"):
        extract(without_marks(marked_by_hand()), ["m:input"], [])


def test_cuts_at_marks_and_tensors(tmp_path: Path) -> None:
    model = marked_by_hand()
    part = extract(model, ["left"], ["m:output"])
    assert (part.inputs, part.outputs) == (("left",), ("boxes",))
    assert [node.op_type for node in part.model.graph.node] == ["Relu", "Mark", "Tanh"]
    part = extract(model, ["a"], ["d"])  # marks at the borders, cut by the tensors' names
    assert (part.inputs, part.outputs) == (("a",), ("d",))
    assert [node.op_type for node in part.model.graph.node] == ["Tanh"]
    assert [entry.domain for entry in part.model.opset_import] == [""]
    part = extract(model, ["m:output", "right"], [])
    assert (part.inputs, part.outputs) == (("boxes", "right"), ("sum",))
    with pytest.raises(UsageError, match="the model's inputs 'right' lead into it too"):
        extract(model, ["m:output"], [])
    part = extract(model, ["m:output", "m:input", "right"], [])
    assert part.needless == ("image",)
    with pytest.raises(UsageError, match="The part needs more than 'm:output'"):
        extract(model, ["m:output"], ["m:input"])
    with pytest.raises(UsageError, match="Nothing leads from 'm:input' to 'b'"):
        extract(model, ["m:input"], ["b"])


def test_a_name_that_is_taken_is_not_given() -> None:
    model = marked_by_hand()
    for node in model.graph.node:
        node.output[:] = ["boxes" if name == "a" else name for name in node.output]
        node.input[:] = ["boxes" if name == "a" else name for name in node.input]
    part = extract(model, ["left"], ["m:output"])
    assert part.outputs == ("c",)  # its own: another tensor of the part is called boxes
    onnx.checker.check_model(part.model)


def test_a_tensor_of_that_name_wins() -> None:
    model = marked_by_hand()
    model.graph.node[0].output[0] = model.graph.node[1].input[0] = "m:output"
    part = extract(model, ["left"], ["m:output"])
    assert part.outputs == ("m:output",)
    assert [node.op_type for node in part.model.graph.node] == ["Relu"]
