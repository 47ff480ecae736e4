"""What an exported program keeps from one run to the next, which no bundle does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployx_edge.errors import ModelError

if TYPE_CHECKING:
    import torch


class StatefulError(ModelError):
    """The model remembers something between runs; no exporter can help that."""


def refuse_state(program: torch.export.ExportedProgram) -> tuple[str, ...]:
    """Notes on what the program changes and no output reads; StatefulError where one does.

    An ONNX file has no buffers that change: its first run would be repeated for ever.
    """
    from deployx_edge.sources.torch.function import silence

    with silence():
        # Only in this form a program says what it changes.
        whole = program.run_decompositions({})
    signature = whole.graph_signature
    changed = set(signature.buffers_to_mutate.values())
    read = changed & _reaching_outputs(whole)
    if read:
        raise StatefulError(
            f"The model changes {_named(read)} in each run, and its outputs depend on that.",
            remedy="A bundle keeps nothing between runs: make what is remembered an input and an "
            "output of the module. Where it is a batch norm's, export after eval().",
        )
    notes = [f"The model changes {_named(changed)}, which no output reads."] if changed else []
    notes += [
        f"The model writes to its input '{name}' in place; a bundle leaves inputs as they are."
        for name in sorted(set(signature.user_inputs_to_mutate.values()))
    ]
    return tuple(notes)


def _named(buffers: set[str]) -> str:
    # "module." is the exporter's own, of the function around.
    names = sorted(f"'{name.removeprefix('module.')}'" for name in buffers)
    return f"its buffer{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _reaching_outputs(program: torch.export.ExportedProgram) -> set[str]:
    """The buffers that a user's output depends on, by their names in the module."""
    signature = program.graph_signature
    nodes = {node.name: node for node in program.graph.nodes}
    waiting = [nodes[name] for name in signature.user_outputs if name in nodes]
    seen = set(waiting)
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in seen:
                seen.add(node)
                waiting.append(node)
    return {buffer for name, buffer in signature.inputs_to_buffers.items() if nodes[name] in seen}
