"""Graphs within nodes are looked for in those of ONNX's operators that can hold some."""

from __future__ import annotations

from onnx import defs, helper

from deployx_edge.graph.subgraphs import graphs_in

_KINDS = (defs.OpSchema.AttrType.GRAPH, defs.OpSchema.AttrType.GRAPHS)


def test_every_operator_that_holds_graphs_is_looked_into():
    body = helper.make_graph([], "body", [], [])
    holders = {
        (schema.domain, schema.name)
        for schema in defs.get_all_schemas_with_history()
        if any(each.type in _KINDS for each in schema.attributes.values())
    }
    assert ("", "Loop") in holders
    for domain, name in (*holders, ("com.example", "Anything")):
        node = helper.make_node(name, [], [], domain=domain, body=body)
        assert [graph.name for graph in graphs_in(node)] == ["body"]
