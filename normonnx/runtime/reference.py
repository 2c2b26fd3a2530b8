"""Single operators by onnx's reference implementation, for all that needs no kernel of our own."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.invocation import Inputs, Invocation

logger = logging.getLogger(__name__)

_ROOM = 128 << 20  # bytes
_LEAST = 32 << 10  # bytes of an evaluator, and how many times as long as its key it is
_TIMES = 50
_LARGEST = 1 << 18  # bytes of a key: big attributes are not worth remembering


def run(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """Evaluate one node with onnx.reference, in the precision of its inputs.

    Raises:
        UnsupportedOperatorError: onnx has no implementation of that operator, or it fails.
    """
    node = call.node
    try:
        session = _session(call)
        feeds = {
            f"i{k}": inputs[k]
            for k, value in enumerate(node.inputs)
            if value is not None and inputs[k] is not None
        }
        return _aligned(node, session.run(None, feeds))
    except UnsupportedOperatorError:
        raise
    except Exception as error:
        logger.debug("onnx.reference failed", exc_info=True)
        first = (str(error).splitlines() or [""])[0][:160]
        message = (
            f"the oracle can't evaluate {node.domain or 'ai.onnx'}::{node.op_type} "
            f"(node {node.name or node.outputs[0].name!r}): {type(error).__name__}: {first}"
        )
        raise UnsupportedOperatorError(message) from error


def _aligned(node: ir.Node, found: Sequence[Any]) -> tuple[Any, ...]:
    """One result per output of the node; the evaluator leaves out those without a name."""
    results = iter(found)
    return tuple(next(results, None) if value.name else None for value in node.outputs)


class _Sessions:
    """Evaluators by what they evaluate; those used last, as far as there is room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Any] = OrderedDict()
        self._size = 0

    def get(self, key: bytes) -> Any:  # noqa: ANN401  # an evaluator
        """The one of a key; None where none is kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: bytes, session: Any) -> None:  # noqa: ANN401  # an evaluator
        """Keep a new one, in place of those that were not used for long."""
        if len(key) > _LARGEST or key in self._kept:
            return
        self._kept[key] = session
        self._size += _LEAST + _TIMES * len(key)
        while self._size > _ROOM and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self._size -= _LEAST + _TIMES * len(oldest)


_sessions = _Sessions()


def _session(call: Invocation) -> Any:  # noqa: ANN401  # an onnx.reference.ReferenceEvaluator
    import onnx.reference  # slow to import, not always needed

    proto = call.proto()
    domain = proto.domain or ""
    key = call.version.to_bytes(4, "little") + proto.SerializeToString(deterministic=True)
    if (known := _sessions.get(key)) is not None:
        return known
    undefined = onnx.TypeProto()
    names = [name for name in proto.input if name]
    graph = onnx.helper.make_graph(
        [proto],
        "one",
        [onnx.helper.make_value_info(name, undefined) for name in names],
        [onnx.helper.make_value_info(name, undefined) for name in proto.output if name],
    )
    opsets = [onnx.helper.make_opsetid(domain, call.version)]
    if domain:
        opsets.append(onnx.helper.make_opsetid("", onnx.defs.onnx_opset_version()))
    session = onnx.reference.ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=opsets))
    _sessions.keep(key, session)
    return session
