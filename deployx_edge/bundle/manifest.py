"""``bundle.json`` to values and back (schema 4, see ``docs/bundle.md``)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deployx_edge.bundle.reading import ObjectReader, read_object
from deployx_edge.bundle.steps import (
    listed_postprocessing,
    listed_preprocessing,
    read_postprocessing,
    read_preprocessing,
    stray_outputs,
)
from deployx_edge.bundle.values import (
    Bundle,
    BundleFile,
    IntermediateCheck,
    LeftNode,
    OutputCheck,
    Provenance,
    Verification,
)
from deployx_edge.errors import BundleError, UsageError
from deployx_edge.model import (
    DTYPES,
    AxisRange,
    TensorSpec,
    at_sizes,
    parse_inputs,
)
from deployx_edge.runtime import RUNTIMES, RuntimeFacts

MANIFEST_NAME = "bundle.json"
SCHEMA = 4

# Of int8 models, whatever they are for: how scales were found and what they cost.
_REPORT_ROLE = "quantization"
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
LAYOUTS = ("", "NC", "NCW", "NCHW", "NHWC", "NCDHW")
VERDICTS = ("same", "rounded", "differs", "unproven")
STATUSES = ("passed", "accepted", "skipped", "no-reference")

_MANY = 4096
_LONGEST_INPUT = 65536
_LONGEST_OPERATOR = 64
_LARGEST = 2**53 - 1  # JSON numbers are whole up to here everywhere
_NAME = r"[A-Za-z0-9._-]{1,128}"
_SHA256 = r"[0-9a-f]{64}"
_SOC = r"[a-z0-9]{1,32}"
_BLOB = r"[^\s\x00-\x1f\x7f]{1,255}"
_TENSOR = r"[^\x00-\x1f\x7f]{1,1024}"


def manifest_text(bundle: Bundle) -> str:
    """The bundle as the text of ``bundle.json``."""
    return json.dumps(manifest_of(bundle), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def bundle_digest(bundle: Bundle) -> str:
    """One sha256 (hex) for all that the manifest says, and by its hashes for every file.

    The folder is not part of it: a copy elsewhere has the same digest.
    """
    canonical = json.dumps(
        manifest_of(bundle), sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def parse_manifest(text: bytes, folder: Path) -> Bundle:
    """The bundle that ``text``, the content of ``bundle.json``, describes.

    Raises BundleError where it is not JSON, of another schema, or holds anything but
    what the schema says.
    """
    try:
        data = json.loads(text.decode("utf-8-sig"), object_pairs_hook=_without_duplicates)
    except RecursionError:
        raise BundleError(f"{folder / MANIFEST_NAME} is nested too deeply.") from None
    except ValueError as error:
        raise BundleError(f"{folder / MANIFEST_NAME} is not valid JSON: {error}.") from None
    if not isinstance(data, dict):
        raise BundleError(f"{folder / MANIFEST_NAME} does not hold an object.")
    _check_schema(data.get("schema"), folder)
    bundle = read_object(data, MANIFEST_NAME, lambda reader: _read_bundle(reader, folder))
    _check_consistency(bundle)
    return bundle


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a field occurs twice in one object")
    return data


def _check_schema(schema: Any, folder: Path) -> None:
    if isinstance(schema, int) and not isinstance(schema, bool) and schema > SCHEMA:
        raise BundleError(
            f"The bundle {folder} was made by a newer deployx-edge (a schema above {SCHEMA}).",
            remedy="Update deployx-edge, or make the bundle again with this one.",
        )
    if schema != SCHEMA or isinstance(schema, (bool, float)):
        raise BundleError(
            f"{folder / MANIFEST_NAME} names no schema that this deployx-edge knows ({SCHEMA}).",
            remedy="Make the bundle again with `deployx-edge convert`.",
        )


def manifest_of(bundle: Bundle) -> dict[str, Any]:
    """The bundle as the object that ``bundle.json`` holds."""
    provenance = bundle.provenance
    return {
        "schema": SCHEMA,
        "name": bundle.name,
        "runtime": bundle.runtime,
        "precision": bundle.precision,
        "files": [asdict(file) for file in bundle.files],
        "inputs": [_listed(spec) for spec in bundle.inputs],
        "outputs": [_listed(spec) for spec in bundle.outputs],
        "preprocessing": [listed_preprocessing(step) for step in bundle.preprocessing],
        "postprocessing": [listed_postprocessing(step) for step in bundle.postprocessing],
        # Written only where there are any, so that other bundles stay what they were.
        **({"operators": list(bundle.operators)} if bundle.operators else {}),
        **({"soc": bundle.soc} if bundle.soc else {}),
        **({"left_to_processor": [asdict(node) for node in bundle.left]} if bundle.left else {}),
        "provenance": {
            "tools": dict(provenance.tools),
            "source_file": provenance.source_file,
            "source_sha256": provenance.source_sha256,
            "notes": list(provenance.notes),
            # As above.
            **({"fixed_inputs": list(provenance.fixed_inputs)} if provenance.fixed_inputs else {}),
            "verification": _listed_verification(provenance.verification),
        },
    }


def _listed(value: Any) -> dict[str, Any]:
    """A dataclass as JSON holds it: tuples as lists."""
    return {
        key: list(item) if isinstance(item, tuple) else item for key, item in asdict(value).items()
    }


def _listed_verification(verification: Verification) -> dict[str, Any]:
    """Where no tensor was judged alone, nothing is said of it, as before that could be."""
    document = _listed(verification)
    if verification.intermediates is not None and not verification.intermediates.judged_alone:
        del document["intermediates"]["judged_alone"]
    return document


def _read_bundle(reader: ObjectReader, folder: Path) -> Bundle:
    reader.integer("schema", SCHEMA, SCHEMA)
    return Bundle(
        folder=folder,
        name=reader.text("name", pattern=_NAME, meaning="1 to 128 of A-Z a-z 0-9 . _ -"),
        runtime=reader.choice("runtime", tuple(RUNTIMES)),
        precision=reader.choice("precision", PRECISIONS),
        files=reader.objects("files", _MANY, _read_file),
        inputs=reader.objects("inputs", _MANY, _read_tensor),
        outputs=reader.objects("outputs", _MANY, _read_tensor),
        preprocessing=reader.objects("preprocessing", _MANY, read_preprocessing),
        postprocessing=reader.objects("postprocessing", _MANY, read_postprocessing),
        provenance=reader.object("provenance", _read_provenance),
        operators=reader.optional_texts("operators", _MANY, length=_LONGEST_OPERATOR),
        soc=reader.text_if_there("soc", pattern=_SOC, meaning="the name of a chip"),
        left=reader.objects("left_to_processor", _MANY, _read_left)
        if reader.given("left_to_processor")
        else (),
    )


def _read_left(reader: ObjectReader) -> LeftNode:
    return LeftNode(
        node=reader.text("node"), operator=reader.text("operator"), reason=reader.text("reason")
    )


def _read_file(reader: ObjectReader) -> BundleFile:
    return BundleFile(
        role=reader.text("role", pattern=r"[a-z0-9_-]{1,32}", meaning="a role"),
        path=reader.text("path", pattern=r".{1,1024}", meaning="a path of 1 to 1024 characters"),
        size=reader.integer("size", 0, _LARGEST),
        sha256=reader.text("sha256", pattern=_SHA256, meaning="64 lower-case hex digits"),
    )


def _read_tensor(reader: ObjectReader) -> TensorSpec:
    spec = TensorSpec(
        name=reader.text("name", pattern=_TENSOR, meaning="a tensor's name"),
        runtime_name=reader.text(
            "runtime_name", pattern=_TENSOR, meaning="the runtime's name of a tensor"
        ),
        dtype=reader.choice("dtype", DTYPES),
        shape=reader.integers("shape", 1, 2**31 - 1, 8),
        layout=reader.choice("layout", LAYOUTS),
        batch_axis=reader.optional_integer("batch_axis", 0, 7),
        ranges=reader.objects("ranges", 8, _read_range),
    )
    _check_ranges(spec)
    if spec.batch_axis is not None and spec.batch_axis >= len(spec.shape):
        raise BundleError(f"Tensor '{spec.name}' has no axis {spec.batch_axis}.")
    if spec.layout and len(spec.layout) != len(spec.shape):
        raise BundleError(f"Tensor '{spec.name}' has another number of axes than {spec.layout}.")
    return spec


def _read_range(reader: ObjectReader) -> AxisRange:
    largest = 2**31 - 1
    return AxisRange(
        axis=reader.integer("axis", 0, 7),
        minimum=reader.integer("minimum", 1, largest),
        opt=reader.integer("opt", 1, largest),
        maximum=reader.integer("maximum", 1, largest),
    )


def _check_ranges(spec: TensorSpec) -> None:
    for entry in spec.ranges:
        if entry.axis >= len(spec.shape):
            raise BundleError(f"Tensor '{spec.name}' has no axis {entry.axis}.")
        if not entry.minimum <= entry.opt <= entry.maximum:
            raise BundleError(f"The sizes of axis {entry.axis} of '{spec.name}' do not grow.")
    if at_sizes(spec.shape, spec.ranges, "opt") != spec.shape:
        raise BundleError(f"Tensor '{spec.name}' has not its best sizes as its shape.")


def _read_provenance(reader: ObjectReader) -> Provenance:
    return Provenance(
        tools=reader.pairs("tools", 64),
        source_file=reader.text("source_file"),
        source_sha256=reader.text("source_sha256", pattern=_SHA256, meaning="64 hex digits"),
        notes=reader.texts("notes", _MANY),
        verification=reader.object("verification", _read_verification),
        fixed_inputs=_read_fixed_inputs(reader),
    )


def _read_fixed_inputs(reader: ObjectReader) -> tuple[str, ...]:
    words = reader.optional_texts("fixed_inputs", _MANY, length=_LONGEST_INPUT)
    try:
        parse_inputs(words)
    except UsageError as error:
        raise BundleError(f"The fixed inputs in {MANIFEST_NAME} cannot be read: {error}") from error
    return words


def _read_verification(reader: ObjectReader) -> Verification:
    return Verification(
        status=reader.choice("status", STATUSES),
        reference=reader.text("reference"),
        inputs=reader.integer("inputs", 0, _MANY),
        samples=reader.integer("samples", 0, _MANY),
        outputs=reader.objects("outputs", _MANY, _read_check),
        intermediates=reader.optional_object("intermediates", _read_intermediates),
    )


def _read_intermediates(reader: ObjectReader) -> IntermediateCheck:
    return IntermediateCheck(
        compared=reader.integer("compared", 0, _LARGEST),
        unproven=reader.integer("unproven", 0, _LARGEST),
        worst=reader.text("worst"),
        worst_error=reader.number("worst_error"),
        judged_alone=reader.integer("judged_alone", 0, _LARGEST)
        if reader.given("judged_alone")
        else 0,
    )


def _read_check(reader: ObjectReader) -> OutputCheck:
    return OutputCheck(
        output=reader.text("output", pattern=_TENSOR, meaning="an output's name"),
        verdict=reader.choice("verdict", VERDICTS),
        relative_error=reader.number("relative_error"),
        slice_error=reader.number("slice_error"),
        max_abs_error=reader.number("max_abs_error"),
        snr_db=reader.optional_number("snr_db"),
        cosine=reader.number("cosine"),
        variation=reader.number("variation"),
        magnitude=reader.number("magnitude"),
    )


def _check_tensors(facts: RuntimeFacts, tensors: Sequence[TensorSpec]) -> None:
    """What the runtime does not take is refused."""
    if facts.dtypes and any(spec.dtype not in facts.dtypes for spec in tensors):
        raise BundleError(
            f"A bundle for {facts.name} has tensors of {' or '.join(facts.dtypes)} only."
        )
    if facts.fixed_shapes and any(spec.ranges for spec in tensors):
        raise BundleError(f"A bundle for {facts.name} has tensors of fixed shapes only.")
    if facts.words and any(not re.fullmatch(_BLOB, spec.runtime_name) for spec in tensors):
        raise BundleError(
            f"The blobs of a bundle for {facts.name} are words of at most 255 characters."
        )


def _check_consistency(bundle: Bundle) -> None:
    facts = RUNTIMES[bundle.runtime]
    extra = (*facts.extra_files, _REPORT_ROLE)
    roles = tuple(sorted(file.role for file in bundle.files if file.role not in extra))
    wanted = tuple(sorted(facts.files))
    if roles != wanted:
        raise BundleError(
            f"A bundle for {bundle.runtime} has one file each of {', '.join(wanted)}, "
            f"found {', '.join(roles) or 'none'}."
        )
    tensors = (*bundle.inputs, *bundle.outputs)
    _check_tensors(facts, tensors)
    if not bundle.inputs or not bundle.outputs:
        raise BundleError("A bundle has at least one input and one output.")
    for what, names in (
        ("path", [file.path for file in bundle.files]),
        ("tensor name", [spec.name for spec in bundle.inputs]),
        ("tensor name", [spec.name for spec in bundle.outputs]),
        ("runtime name", [spec.runtime_name for spec in bundle.inputs]),
        ("runtime name", [spec.runtime_name for spec in bundle.outputs]),
        # ONNX lets an input be an output as well.
        ("runtime name", [spec.runtime_name for spec in tensors] if facts.words else []),
    ):
        if len(set(names)) != len(names):
            raise BundleError(f"The same {what} occurs twice in {MANIFEST_NAME}.")
    inputs = {spec.name for spec in bundle.inputs}
    outputs = {spec.name for spec in bundle.outputs}
    stray = [step.input for step in bundle.preprocessing if step.input not in inputs]
    stray += [name for step in bundle.postprocessing for name in stray_outputs(step, outputs)]
    if stray:
        raise BundleError(f"Pre- or post-processing names the unknown tensor '{stray[0]}'.")
