"""Whatever matrix products are drawn, a merged model computes the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import FLOATS, UNTIMED, DrawnGraph, affine, checked, sum_of


@st.composite
def _products(draw: st.DrawFn) -> str:
    """A sum of MatMuls, Gemms and affines of one input."""
    graph = DrawnGraph(draw(FLOATS), draw(st.booleans()))
    rank = draw(st.integers(2, 3))
    depth = draw(st.integers(1, 4))
    columns = draw(st.sampled_from([depth, depth, 3]))
    rows = depth if draw(st.booleans()) else 2
    square = rows == depth == columns
    leaves = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["MatMul", "MatMul", "left", "Gemm"]))
        if kind == "Gemm" and rank == 2:
            leaves.append(draw(_gemm(graph, (rows, depth, columns), square=square)))
        elif kind == "left" and square:
            leaves.append(graph.node(f"MatMul({graph.weight(rows, rows)}, x)"))
        else:
            leaves.append(graph.node(f"MatMul(x, {graph.weight(depth, columns)})"))
    if columns == depth:
        shape = draw(st.sampled_from([(depth,), (depth,), (1,), (rows, 1)]))
        channels = depth if rank == 2 else rows
        leaves += [
            draw(affine(graph, "x", shape, channels)) for _ in range(draw(st.integers(0, 2)))
        ]
    elif draw(st.booleans()):
        leaves.append(graph.weight(columns))
    watched = draw(st.sampled_from([[], [], [], leaves[:1]]))
    total = draw(sum_of(graph, leaves))
    shape = (rows, depth) if rank == 2 else (2, rows, depth)
    return graph.model(shape, rank, [total, *watched], inside=draw(st.integers(0, 3)) == 0)


@st.composite
def _gemm(draw: st.DrawFn, graph: DrawnGraph, sizes: tuple[int, int, int], *, square: bool) -> str:
    rows, depth, columns = sizes
    turned, stored = draw(st.integers(0, 1)) if square else 0, draw(st.integers(0, 1))
    weight = graph.weight(*((columns, depth) if stored else (depth, columns)))
    shapes = [(), (1,), (columns,), (1, columns), (rows, 1), (rows, columns)]
    bias = draw(st.sampled_from([None, *shapes]))
    alpha, beta = (draw(st.sampled_from([1.0, 1.0, 0.5, -2.0])) for _ in range(2))
    attributes = f"transA={turned}, transB={stored}, alpha={alpha}, beta={beta}"
    third = "" if bias is None else f", {graph.weight(*bias)}"
    return graph.node(f"Gemm<{attributes}>(x, {weight}{third})")


@st.composite
def _product_chain(draw: st.DrawFn) -> str:
    """MatMuls and Gemms in a row."""
    graph = DrawnGraph(draw(FLOATS), draw(st.booleans()))
    rows, width = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    shape, data = (rows, width), "x"
    for _ in range(draw(st.integers(2, 4))):
        size = draw(st.integers(1, 4))
        kind = draw(st.sampled_from(["MatMul", "left", "Gemm"]))
        if kind == "left":
            data, rows = graph.node(f"MatMul({graph.weight(size, rows)}, {data})"), size
            continue
        if kind == "MatMul":
            data = graph.node(f"MatMul({data}, {graph.weight(width, size)})")
        else:
            turned, stored = draw(st.integers(0, 1)), draw(st.integers(0, 1))
            depth, rows = (rows, width) if turned else (width, rows)
            weight = graph.weight(*((size, depth) if stored else (depth, size)))
            bias = draw(st.sampled_from([None, (), (size,), (1, size), (rows, 1)]))
            third = "" if bias is None else f", {graph.weight(*bias)}"
            attributes = (
                f"transA={turned}, transB={stored}, alpha={draw(st.sampled_from([1.0, 0.5]))}"
            )
            data = graph.node(f"Gemm<{attributes}, beta=2.0>({data}, {weight}{third})")
        width = size
    return graph.model(shape, 2, [data], inside=draw(st.integers(0, 3)) == 0)


@UNTIMED
@given(_products(), st.integers(0, 99))
def test_parallel_products(text: str, seed: int) -> None:
    """Branches from either side, of any attribute, and the input itself."""
    checked(text, seed)


@UNTIMED
@given(_product_chain(), st.integers(0, 99))
def test_products_in_a_row(text: str, seed: int) -> None:
    """MatMul from either side and Gemm of any attribute in any order."""
    checked(text, seed)
