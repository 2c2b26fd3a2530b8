"""Walking over a model: every graph, once, the outer before the inner."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from normonnx.graph import walk

NESTED = """<ir_version: 8, opset_import: ["": 17, "local": 1]>
m (float[N] x, bool c) => (float[N] y) { a = If (c)
  <then_branch = t () => (float[N] p) { p = If (c) <then_branch = u () => (float[N] q) { q = Abs(x) },
     else_branch = v () => (float[N] r) { r = Neg(x) }> },
   else_branch = e () => (float[N] s) { s = Exp(x) }> y = local.f(a) }
<domain: "local", opset_import: ["": 17]> f (z, c) => (o) { o = If (c)
  <then_branch = g () => (float[N] h) { h = Abs(z) }, else_branch = i () => (float[N] j) { j = Neg(z) }> }
"""


def test_every_graph_comes_once_the_outer_first() -> None:
    """As onnx_ir lists the graphs inside a graph."""
    model = ir.from_proto(onnx.parser.parse_model(NESTED))
    graphs = list(walk.all_graphs(model))
    expected = [model.graph, *model.graph.subgraphs()]
    for function in model.functions.values():
        expected += [function.graph, *function.subgraphs()]
    assert [id(graph) for graph in graphs] == [id(graph) for graph in expected]
    assert [graph.name for graph in graphs[:5]] == ["m", "t", "u", "v", "e"]
    assert len(graphs) == 8
