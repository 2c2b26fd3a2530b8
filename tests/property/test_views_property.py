"""Whatever Transposes and Reshapes are drawn, what is left of them computes the same."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.drawing import UNTIMED
from tests.rewriting import rewritten


@st.composite
def _reshape(
    draw: st.DrawFn, data: str, sizes: Sequence[int], earlier: Sequence[tuple[str, list[int]]]
) -> tuple[str, list[int]]:
    """A Flatten, or a Reshape to a constant or to what was the shape before; and what shape it makes."""
    if draw(st.integers(0, 4)) == 0:
        axis = draw(st.integers(0, len(sizes)))
        return f"Flatten<axis={axis}>({data})", [math.prod(sizes[:axis]), math.prod(sizes[axis:])]
    if draw(st.integers(0, 3)) == 0:
        other, shape = draw(st.sampled_from(list(earlier)))
        return f"Reshape({data}, shape_{other})", shape
    new = draw(st.sampled_from([[2, 3, 4], [6, 4], [2, 12], [24], [4, 3, 2], list(sizes)]))
    target = [
        0 if draw(st.booleans()) and sizes[axis : axis + 1] == [size] else size
        for axis, size in enumerate(new)
    ]
    if draw(st.booleans()):
        target[draw(st.integers(0, len(new) - 1))] = -1
    return f"Reshape({data}, {{{', '.join(map(str, target))}}})", new


@st.composite
def _views(draw: st.DrawFn) -> str:
    """Transposes and Reshapes in a row."""
    nodes, declared = [], []
    data, sizes = "x", [2, 3, 4]
    earlier = [(data, sizes)]
    for index in range(draw(st.integers(2, 6))):
        rank = len(sizes)
        if draw(st.booleans()):
            given = draw(st.integers(0, 3)) > 0
            perm = list(draw(st.permutations(range(rank)))) if given else [*reversed(range(rank))]
            sizes = [sizes[axis] for axis in perm]
            node = f"Transpose{f'<perm={perm}>' if given else ''}({data})"
        else:
            node, sizes = draw(_reshape(data, sizes, earlier))
        target = re.search(r"\{.*\}", node)
        if target is not None:
            declared.append(f"int64[{len(sizes)}] s{index} = {target[0]}")
            node = node.replace(target[0], f"s{index}")
        for name in re.findall(r"shape_(\w+)", node):
            nodes.append(f"t{index} = Shape({name})")
            node = node.replace(f"shape_{name}", f"t{index}")
        data = f"v{index}"
        nodes.append(f"{data} = {node}")
        earlier.append((data, sizes))
    output = ",".join(f"d{axis}" for axis in range(len(sizes)))
    first = draw(st.sampled_from(["float[2,3,4]", "float[N,3,4]", "float[N,T,W]"]))
    weights = f"<{', '.join(declared)}>" if declared else ""
    return (
        f"g ({first} x) => (float[{output}] y) {weights} {{ {' '.join(nodes)} y = Relu({data}) }}"
    )


@UNTIMED
@given(_views())
def test_views_in_a_row(text: str) -> None:
    """Transposes, Flattens and Reshapes in any order, of known sizes or not; never more nodes."""
    found = rewritten(text, opset=22)
    assert sum(found.report.nodes_after.values()) <= sum(found.report.nodes_before.values())
