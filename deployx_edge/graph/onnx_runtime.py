"""ONNX Runtime on this computer's CPU: the one way in which models are opened there."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deployx_edge.errors import DeployxError, MissingToolError, ModelError
from deployx_edge.graph.built_kernels import refuse_stale
from deployx_edge.graph.cleaning import KNOWN_DOMAINS
from deployx_edge.graph.staged_session import StagedSession, nodes_by_reference
from deployx_edge.graph.subgraphs import graphs_in, nodes_within
from deployx_edge.operator_facts import all_operators, find_operator, operators_by_reference, shown
from deployx_edge.operator_file import OperatorFacts
from deployx_edge.resources import dist_folder, host_target_id
from deployx_edge.worker_facts import worker_facts

if TYPE_CHECKING:
    import onnx

# The distribution, which is one of the runtimes' too.
PACKAGE = "onnxruntime"
_MISSED = re.compile(r"([\w.]+):(\w+)\(-?\d+\) is not a registered function/op")
_FATAL = 4


def open_model(
    model: bytes | str,
    *,
    folder: Path | None = None,
    optimized: bool = False,
    keeps_memory: bool = False,
) -> Any:
    """A session for a model, given as its bytes or its path; ONNX Runtime's errors pass.

    ``folder`` is where the external data of a model in bytes lies; it is mapped, not copied.
    The graph runs as it stands, node by node: what a model computes must not depend on
    optimisations of the graph, which were seen to be wrong (ONNX Runtime 1.31.1 drops a Pad
    before a MaxPool). ``optimized`` is for ONNX Runtime as the runtime that is under test.
    ``keeps_memory``: what tensors lay in serves those of the next run, of whichever such session.
    Operators of our own are there too; MissingToolError where their library is not built. Those of
    ``operators_by_reference`` run so, where this is not what is under test.
    """
    if not optimized and operators_by_reference():
        staged = _staged(model, folder, keeps_memory=keeps_memory)
        if staged is not None:
            return staged
    options = _options(folder, optimized=optimized, keeps_memory=keeps_memory)
    try:
        return _session(model, options)
    except Exception as error:  # its exceptions share no other base
        missed = _missed_operator(error)
        if missed is None:
            raise
    options.register_custom_ops_library(str(_library([missed])))
    try:
        return _session(model, options)
    except Exception as error:
        still_missed = _missed_operator(error)
        if still_missed is None:
            raise
        raise _not_built(still_missed, _library_path()) from error


def open_with_operators(model: bytes, names: Collection[str], *, folder: Path | None = None) -> Any:
    """A session for a model with what the library of operators holds of those operators; weights
    may lie beside it in ``folder``.

    MissingToolError where that is not built, or was built from other kernels.
    """
    options = _options(folder, optimized=False, keeps_memory=False)
    known = all_operators()
    options.register_custom_ops_library(str(_library([known[name] for name in names])))
    try:
        return _session(model, options)
    except Exception as error:
        missed = _MISSED.search(str(error))
        if missed is None or missed[2] not in known:
            raise
        raise _not_built(known[missed[2]], _library_path()) from error


def _options(folder: Path | None, *, optimized: bool, keeps_memory: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL
    # Threads that wait by turning round took as much processor time again as the runs, and arenas
    # of several sessions held several times what a run needs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    if keeps_memory:
        _keep_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder.absolute())
        )
    return options


def require_library(names: Collection[str]) -> None:
    """MissingToolError where the library of operators is not built, or was built from other
    kernels of these."""
    known = all_operators()
    _library([known[name] for name in names])


def _library_path() -> Path:
    return dist_folder(host_target_id()) / worker_facts(PACKAGE).operator_library


def _library(operators: Sequence[OperatorFacts]) -> Path:
    """The library of operators of ours; MissingToolError where it is not built, or from others."""
    library = _library_path()
    if operators and not library.is_file():
        raise _not_built(operators[0], library)
    refuse_stale(PACKAGE, [facts.name for facts in operators])
    return library


def _session(model: bytes | str, options: Any) -> Any:
    import onnxruntime

    # Kernels warn through the process's own log, which a session's level does not reach; what is
    # wrong with a model comes as an error.
    onnxruntime.set_default_logger_severity(_FATAL)
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        enable_fallback=0,  # it would print to standard output and try the same again
    )


def _missed_operator(error: Exception) -> OperatorFacts | None:
    """The operator of our own that ONNX Runtime misses, if that is what it says."""
    missed = _MISSED.search(str(error))
    facts = find_operator(*missed.groups()) if missed else None
    return facts if facts is not None and PACKAGE in facts.runtimes else None


def _not_built(facts: OperatorFacts, library: Path) -> MissingToolError:
    return MissingToolError(
        f"The model has the operator {facts.title} of {shown(facts)}, and what computes it here, "
        f"{library}, {'does not have it' if library.is_file() else 'is not built'}.",
        remedy=f"Run 'deployx-edge build --target {host_target_id()}'.",
    )


def _staged(model: bytes | str, folder: Path | None, *, keeps_memory: bool) -> StagedSession | None:
    """A session with references in it; None for a model that needs none."""
    import onnx

    if isinstance(model, str):
        whole, folder = onnx.load(model, load_external_data=False), Path(model).parent
    else:
        whole = onnx.load_from_string(model)
    strangers = nodes_by_reference(whole, KNOWN_DOMAINS)
    _refuse_within(n for place, n in enumerate(whole.graph.node) if place not in strangers)
    if not strangers:
        return None

    def open_part(part: onnx.ModelProto) -> Any:
        return open_model(part.SerializeToString(), folder=folder, keeps_memory=keeps_memory)

    return StagedSession(whole, strangers, open_part, folder=folder)


def _refuse_within(nodes: Iterable[onnx.NodeProto]) -> None:
    """ModelError for an operator in a graph of a node where its reference does not get between."""
    for node in nodes:
        for inner in nodes_within([inner for body in graphs_in(node) for inner in body.node]):
            if inner.domain in KNOWN_DOMAINS:
                continue
            facts = find_operator(inner.domain, inner.op_type)
            if (
                facts is None
                or facts.name not in operators_by_reference()
                or PACKAGE in facts.runtimes
            ):
                continue
            raise ModelError(
                f"The operator {facts.name} (node '{inner.name or inner.output[0]}') stands within "
                f"the node '{node.name or node.output[0]}' ({node.op_type}), where its reference "
                "cannot run: only a kernel for ONNX Runtime could, and it has none.",
                remedy="Write its onnxruntime.cpp (docs/adding-an-op.md), or export the model so "
                "that the operator stands outside of branches and loops.",
            )


@cache
def _keep_memory() -> None:
    """One arena for all sessions that want it: pages of a large tensor cost as much as half of a
    convolution that fills it. It grows by what is asked for, not by powers of two."""
    import onnxruntime

    sizes = {"max_mem": 0, "arena_extend_strategy": 1}
    sizes |= {"initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    place = onnxruntime.OrtMemoryInfo(
        "Cpu",
        onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR,
        0,
        onnxruntime.OrtMemType.DEFAULT,
    )
    onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(sizes))


def open_with_outputs(path: Path, names: Sequence[str]) -> Any:
    """A session for a bundle's file that gives any of its tensors, optimised as on a board."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    own = [value.name for value in model.graph.output]
    if all(name in own for name in names):
        # By its path, so that weights beside the file are mapped, not copied.
        return open_model(str(path), optimized=True)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return open_model(model.SerializeToString(), folder=path.parent, optimized=True)


_NEWER = re.compile(r"Unsupported model IR version|is under development and support for this")
# What it says of newer models, and of a node that fails; in our own words, as it goes on and on.
_REWORDED = (
    (
        re.compile(r".*Opset (\d+) is under development.*domain (\S+) is till opset (\d+).*"),
        r"its opset for \2 is \1, the newest one known here \3",
    ),
    (
        re.compile(r".*while running (\S+) node\. Name:'([^']*)' Status Message: "),
        r"the node '\2' (\1) fails: ",
    ),
)
# Codes, the file, and places in its own source, which stand before what it means.
_PLACE = r"\S*\.(?:cc|h):\d+ (?:[^()]*(?:\(\))?\([^()]*\)|\w+)(?: const)?"
_PREAMBLE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed: ?|Fatal error: |"
    rf"Exception during initialization: |This is an invalid model\. |{_PLACE} |"
    r"[^.':]{1,200} was false\. (?=\S)"
)


def plain_reason(error: Exception) -> str:
    """What ONNX Runtime says, on one line, without where in itself it found that out."""
    text = _PREAMBLE.sub("", " ".join(str(error).split()))
    for pattern, words in _REWORDED:
        text = pattern.sub(words, text)
    return text[:300].rstrip(" .")


def is_newer(error: Exception) -> bool:
    """Whether the model is newer than this ONNX Runtime."""
    return _NEWER.search(str(error)) is not None


def version() -> str:
    """The version of ONNX Runtime, without importing it."""
    from importlib import metadata

    return metadata.version(PACKAGE)


def refusal(name: str, error: Exception) -> DeployxError:
    """What to tell where ONNX Runtime does not take the model in the file ``name``."""
    if isinstance(error, DeployxError):  # it never came to that
        return error
    here = f"ONNX Runtime {version()}"
    if is_newer(error):
        return ModelError(
            f"{name} is newer than the {here} here: {plain_reason(error)}.",
            remedy="Export it with an older opset, or update the package onnxruntime.",
        )
    return ModelError(f"{here} refuses {name}: {plain_reason(error)}.")
