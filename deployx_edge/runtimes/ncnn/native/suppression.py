"""NonMaxSuppression with a fixed number of results, as the pass ``suppression`` writes it."""

from __future__ import annotations

from dataclasses import replace

from deployx_edge.operator_facts import find_operator
from deployx_edge.runtimes.ncnn.limits import impossible
from deployx_edge.runtimes.ncnn.native.graph import FinalRefusalError, Graph, Node
from deployx_edge.runtimes.ncnn.native.graph_builder import GraphBuilder
from deployx_edge.runtimes.ncnn.native.own import write_own
from deployx_edge.runtimes.ncnn.native.table import writes


@writes("NonMaxSuppression")
def suppress(builder: GraphBuilder, node: Node) -> None:
    """The operator of our own with as many rows as the model fills them up to."""
    facts = find_operator(node.domain, node.operator)
    behind = _filling(builder.graph, node)
    if facts is None or behind is None:
        raise FinalRefusalError(impossible(node.operator, node.domain))
    joined, cut = behind
    rows = builder.graph.shape(cut.outputs[0])[0]
    fixed = replace(node, outputs=cut.outputs, attributes={**node.attributes, "rows": rows})
    write_own(builder, fixed, facts)
    builder.absorbed.update((joined.name, cut.name))


def _filling(graph: Graph, node: Node) -> tuple[Node, Node] | None:
    """The Concat with rows of -1 and the Slice of the first rows that alone follow."""
    joined = graph.sole_consumer(node.outputs[0])
    if joined is None or joined.operator != "Concat" or joined.integer("axis", 0) not in (0, -2):
        return None
    rest = graph.constants.get(joined.input(1))
    cut = graph.sole_consumer(joined.outputs[0])
    if rest is None or (rest != -1).any() or joined.inputs != (node.outputs[0], joined.input(1)):
        return None
    if cut is None or cut.operator != "Slice":
        return None
    bounds = [graph.list_of(cut, *each) for each in (("starts", 1), ("ends", 2), ("axes", 3))]
    steps = graph.list_of(cut, "steps", 4) or (1,)
    is_first = bounds[0] == (0,) and bounds[2] in ((0,), (-2,), None) and steps == (1,)
    count = bounds[1][0] if is_first and bounds[1] else 0
    return (joined, cut) if 1 <= count <= len(rest) else None
