"""What an export from PyTorch freezes: named and refused, or computed as the module does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from deployx_edge.errors import ModelError, UsageError
from deployx_edge.graph.onnx_runtime import open_model
from deployx_edge.model import parse_inputs
from deployx_edge.workflows.convert import models as story
from deployx_edge.workflows.convert.bundle import BundleOptions, TorchOptions, make_bundle
from deployx_edge.workflows.convert.partition import make_sequence
from tests.integration.models import frozen_models

FACTORY = "tests.integration.models.frozen_models:make"
FIXED = "x:1x3x8x8"
OPEN = "x:1x3x{6..16..24}x{8..16..20}"


@contextmanager
def exported(kind: str, shape: str, **options: object) -> Iterator[onnx.ModelProto]:
    chosen = TorchOptions(factory_arguments=json.dumps({"kind": kind}), **options)  # type: ignore[arg-type]
    with story.open_source_model(Path(FACTORY), chosen, parse_inputs([shape])) as opened:
        yield onnx.load(opened.path)


def other_inputs(shapes: list[tuple[int, ...]]) -> Iterator[np.ndarray]:
    """Other inputs than those that the export was compared on."""
    generator = np.random.default_rng(99)
    for shape in shapes:
        for low, high in ((0.0, 1.0), (-1.0, 0.0), (-30.0, 60.0), (-2.0, 0.5)):
            yield generator.uniform(low, high, shape).astype(np.float32)


def assert_same(model: onnx.ModelProto, network: torch.nn.Module, array: np.ndarray) -> None:
    (found,) = open_model(model.SerializeToString()).run(None, {"x": array})
    with torch.no_grad():
        wanted = network(torch.from_numpy(array)).numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4 * max(1, np.abs(wanted).max()))


# torch.export takes a second a case; the other exporter a tenth of that.
BY_BOTH = ("sign", "loop", "item", "written", "sizes", "large", "upright", "where", "masked")


def cases(kinds: Iterable[str], shape: str, first: str = "auto") -> list[tuple[str, str, str]]:
    """Each kind by the older exporter, and some by the ``first`` too."""
    both = [(kind, shape, first) for kind in kinds if kind in BY_BOTH]
    return [*both, *((kind, shape, "torchscript") for kind in kinds)]


@pytest.mark.parametrize(("kind", "shape", "exporter"), cases(frozen_models.VALUES, FIXED))
def test_what_depends_on_values_is_refused(kind: str, shape: str, exporter: str) -> None:
    try:
        with exported(kind, shape, exporter=exporter) as model:
            for array in other_inputs([(1, 3, 8, 8)]):
                assert_same(model, frozen_models.make(kind), array)
    except ModelError as error:
        assert exporter == "auto" or "The trace keeps one value" in error.message
        if "The trace keeps" in error.message:
            assert "tests/integration/models/frozen_models.py:" in error.message
            assert "--accept-frozen" in error.remedy


@pytest.mark.parametrize(("kind", "shape", "exporter"), cases(frozen_models.SIZES, OPEN))
def test_what_depends_on_open_sizes_is_refused(kind: str, shape: str, exporter: str) -> None:
    shapes = [(1, 3, h, w) for h, w in ((6, 8), (7, 9), (16, 16), (23, 12), (24, 20), (10, 19))]
    try:
        with exported(kind, shape, exporter=exporter) as model:
            for array in other_inputs(shapes):
                assert_same(model, frozen_models.make(kind), array)
    except ModelError as error:
        assert "The trace keeps" in error.message or "of the size 1x3x" in error.message


@pytest.mark.parametrize(
    ("kind", "shape", "exporter"),
    [
        *cases(frozen_models.SIZES, FIXED),
        *cases(frozen_models.RIGHT, FIXED, "dynamo"),
        *cases([kind for kind in frozen_models.RIGHT if kind != "ties"], OPEN),
        ("open_sizes", OPEN, "dynamo"),
    ],
)
def test_what_is_right_is_not_refused(kind: str, shape: str, exporter: str) -> None:
    """Among it sizes as Python's numbers where all sizes are fixed."""
    with exported(kind, shape, exporter=exporter) as model:
        assert not story.notes_in({entry.key: entry.value for entry in model.metadata_props})


@pytest.mark.parametrize("kind", frozen_models.STATES)
def test_a_module_that_remembers_is_refused(kind: str) -> None:
    words = r"changes its buffer 'seen' in each" if kind == "average" else "the same input each"
    with pytest.raises(ModelError, match=words):
        exported(kind, FIXED).__enter__()


def test_a_factory_that_traces_by_itself() -> None:
    inputs, model = parse_inputs([FIXED]), Path(FACTORY.replace(":make", ":traced"))
    sign = TorchOptions(factory_arguments='{"kind": "sign"}')
    with pytest.raises(ModelError, match=r"frozen_models\.py:\d+ `return y if x.sum\(\) > 0"):
        story.open_source_model(model, sign, inputs).__enter__()
    with story.open_source_model(model, replace(sign, accept_frozen=True), inputs) as opened:
        assert noted_in(opened.path)
    with story.open_source_model(
        model, replace(sign, factory_arguments='{"kind": "where"}'), inputs
    ):
        pass


def noted_in(path: Path) -> tuple[str, ...]:
    return story.notes_in({entry.key: entry.value for entry in onnx.load(path).metadata_props})


@pytest.mark.parametrize(("rate", "factor"), [(16000, 2.0), (8000, None)])
def test_a_fixed_input_has_one_way(rate: int, factor: float | None) -> None:
    inputs = parse_inputs(["x:1x4", f"rate={rate}"])
    model = Path("tests.integration.models.frozen_models:rated")
    array = np.linspace(-2, 2, 4, dtype=np.float32).reshape(1, 4)
    with story.open_source_model(model, TorchOptions(exporter="torchscript"), inputs) as opened:
        session = open_model(str(opened.path))
        given = {"x": array, "rate": np.float32(rate)}
        (found,) = session.run(None, {each.name: given[each.name] for each in session.get_inputs()})
    wanted = array * factor if factor else 1 / (1 + np.exp(-array))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    with pytest.raises(ModelError, match="if rate > 10000"):
        story.open_source_model(
            model, TorchOptions(exporter="torchscript"), parse_inputs(["x:1x4", "rate:1"])
        ).__enter__()


def test_accepted_values_are_named_in_the_bundle(tmp_path: Path) -> None:
    options = BundleOptions(
        input_shapes=(FIXED,),
        torch=TorchOptions(factory_arguments='{"kind": "sign"}', accept_frozen=True),
    )
    bundle = make_bundle(Path(FACTORY), tmp_path / "bundle", options)
    notes = bundle.provenance.notes
    line = next(
        number
        for number, text in enumerate(Path(frozen_models.__file__).read_text().splitlines(), 1)
        if "if x.sum() > 0 else -2" in text
    )
    assert any(f"frozen_models.py:{line} `" in note and "as accepted" in note for note in notes)
    counts = [re.search(r"differs from the module on (\d+) of (\d+) inputs", n) for n in notes]
    (found,) = filter(None, counts)
    assert 0 < int(found[1]) < int(found[2])
    assert str(Path.cwd()) not in (bundle.folder / "bundle.json").read_text()


def test_accepted_values_are_named_in_each_part(tmp_path: Path) -> None:
    options = BundleOptions(
        input_shapes=(FIXED,),
        torch=TorchOptions(
            factory_arguments='{"kind": "loop"}', accept_frozen=True, exporter="torchscript"
        ),
        runtime="onnxruntime",
    )
    with story.open_source_model(Path(FACTORY), options.torch, parse_inputs([FIXED])) as opened:
        inner = onnx.load(opened.path).graph.node[0].output[0]
    sequence = make_sequence(Path(FACTORY), tmp_path / "sequence", [inner], options)
    for part in sequence.bundles:
        assert any("as accepted" in note for note in part.provenance.notes)


def test_acceptance_does_not_cover_another_mistake(tmp_path: Path) -> None:
    """Nothing was seen to be frozen, so nothing was accepted."""
    with pytest.raises(ModelError, match="differ from the module's"):
        exported("large", OPEN, exporter="dynamo", accept_frozen=True).__enter__()


def program(path: Path, kind: str, **options: object) -> Path:
    network = frozen_models.make(kind)
    torch.export.save(torch.export.export(network, (torch.rand(1, 3, 8, 8),), **options), path)
    return path


def test_a_program_that_changes_a_buffer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="changes its buffer 'seen' in each run") as caught:
        make_bundle(program(tmp_path / "average.pt2", "average"), tmp_path / "bundle")
    assert "an input and an output" in caught.value.remedy
    bundle = make_bundle(program(tmp_path / "unread.pt2", "unread"), tmp_path / "bundle")
    assert "The model changes its buffer 'seen', which no output reads." in bundle.provenance.notes


def test_a_program_in_training_mode(tmp_path: Path) -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).train()
    saved = torch.export.export(network, (torch.rand(1, 3, 8, 8),))
    torch.export.save(saved, tmp_path / "train.pt2")
    with pytest.raises(ModelError, match=r"changes its buffers '1\.running_mean', '1") as caught:
        make_bundle(tmp_path / "train.pt2", tmp_path / "bundle")
    assert "eval()" in caught.value.remedy


def test_a_program_with_open_axes_is_compared_at_its_ends(tmp_path: Path) -> None:
    sizes = {2: torch.export.Dim("h", min=6, max=24), 3: torch.export.Dim("w", min=8, max=20)}
    path = program(tmp_path / "open.pt2", "open_sizes", dynamic_shapes={"x": sizes})
    with story.open_source_model(path, TorchOptions(), parse_inputs([OPEN])) as opened:
        for shape in ((1, 3, 7, 9), (1, 3, 24, 8)):
            array = np.random.default_rng(1).normal(size=shape).astype(np.float32)
            assert_same(onnx.load(opened.path), frozen_models.make("open_sizes"), array)
    with pytest.raises(UsageError, match=r"does not run on noise .* of the size 1x3x4x8"):
        story.open_source_model(
            path, TorchOptions(), parse_inputs(["x:1x3x{4..16..24}x{8..16..20}"])
        ).__enter__()


@pytest.mark.filterwarnings("ignore")  # TorchScript is on its way out
def test_a_script_keeps_both_ways(tmp_path: Path) -> None:
    network = torch.jit.script(frozen_models.Scripted().eval())
    torch.jit.save(network, tmp_path / "script.pt")
    with story.open_source_model(
        tmp_path / "script.pt", TorchOptions(), parse_inputs([FIXED])
    ) as file:
        for array in other_inputs([(1, 3, 8, 8)]):
            assert_same(onnx.load(file.path), frozen_models.Scripted().eval(), array)


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_was_traced_says_so(tmp_path: Path) -> None:
    traced = torch.jit.trace(frozen_models.make("large"), torch.rand(1, 3, 16, 16))
    torch.jit.save(traced, tmp_path / "traced.pt")
    with story.open_source_model(
        tmp_path / "traced.pt", TorchOptions(), parse_inputs([OPEN])
    ) as file:
        model = onnx.load(file.path)
        for array in other_inputs([(1, 3, 6, 8), (1, 3, 24, 20)]):
            assert_same(model, torch.jit.load(tmp_path / "traced.pt"), array)
    (note,) = story.notes_in({entry.key: entry.value for entry in model.metadata_props})
    assert note.startswith("traced was traced: ")
