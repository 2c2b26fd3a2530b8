"""Is this a legal model? What passes; what does not is in test_reading, file by file."""

from __future__ import annotations

import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto

from normonnx.core.errors import InvalidModelError
from normonnx.graph import checks

LEGAL = {
    "capture": """
        main (float[n] x, bool c) => (float[n] y) {
            a = Relu (x)
            y = If (c) <then_branch = t () => (float[n] u) { u = Neg (a) },
                        else_branch = e () => (float[n] v) { v = Abs (x) }>
        }""",
    "shadowed name": """
        main (float[n] x, bool c) => (float[n] y) {
            y = If (c) <then_branch = t () => (float[n] u) { u = Neg (x) },
                        else_branch = e () => (float[n] u) { u = Abs (x) }>
        }""",
    "input as output": "main (float[n] x) => (float[n] x) { }",
    "output twice": "main (float[n] x) => (float[n] y, float[n] y) { y = Relu (x) }",
    "absent optional": "main (float[n] x) => (float[n] y) { y = Clip (x, , x) }",
    "unknown operator": "main (float[n] x) => (float[n] y) { y = Unheard <a = 1> (x) }",
}

ILLEGAL = {
    "body before its capture": (
        """main (float[n] x, bool c) => (float[n] y) {
            y = If (c) <then_branch = t () => (float[n] u) { u = Neg (a) },
                        else_branch = e () => (float[n] v) { v = Abs (x) }>
            a = Relu (x)
        }""",
        "uses 'a'",
    ),
    "value of another body": (
        """main (float[n] x, bool c) => (float[n] y) {
            y = If (c) <then_branch = t () => (float[n] u) { u = Neg (x) },
                        else_branch = e () => (float[n] v) { v = Abs (u) }>
        }""",
        "uses 'u'",
    ),
    "own output": ("main (float[n] x) => (float[n] y) { y = Add (x, y) }", "uses 'y'"),
    "output of nothing": ("main (float[n] x) => (float[n] z) { y = Relu (x) }", "'z'"),
}


def model(text: str) -> ir.Model:
    """A model from its text, opset 17."""
    return ir.from_onnx_text(f'<ir_version: 8, opset_import: ["" : 17]> {text}')


@pytest.mark.parametrize("case", LEGAL)
def test_legal_graphs_pass(case: str) -> None:
    """Captures, equal names in sibling bodies, absent inputs and unknown operators are fine."""
    found = model(LEGAL[case])
    checks.check_versions(found, "m")
    checks.check_structure(found, "m")


@pytest.mark.parametrize("case", ILLEGAL)
def test_illegal_graphs_are_refused(case: str) -> None:
    """The value is named."""
    text, words = ILLEGAL[case]
    with pytest.raises(InvalidModelError, match=words):
        checks.check_structure(model(text), "m")


def test_functions_are_checked_too() -> None:
    """A function sees its own inputs only."""
    text = """
        <ir_version: 8, opset_import: ["" : 17, "d" : 1]>
        main (float[n] x) => (float[n] y) { y = d.f (x) }
        <domain: "d", opset_import: ["" : 17]> f (a) => (b) { b = Add (a, %s) }"""
    checks.check_structure(ir.from_onnx_text(text % "a"), "m")
    with pytest.raises(InvalidModelError, match="uses 'x'"):
        checks.check_structure(ir.from_onnx_text(text % "x"), "m")


@pytest.mark.parametrize("version", [7, 17, onnx.defs.onnx_opset_version()])
def test_supported_opsets(version: int) -> None:
    """From 7 to what the onnx package knows, under either name of the default domain."""
    for domain in ("", "ai.onnx"):
        found = model(LEGAL["input as output"])
        found.opset_imports.clear()
        found.opset_imports[domain] = version
        assert checks.opset_of(found) == version
        checks.check_versions(found, "m")


def test_a_model_of_other_domains_needs_no_default_opset() -> None:
    """Without a node of the default domain its opset means nothing."""
    found = model("main (float[n] x) => (float[n] y) { y = far.Op (x) }")
    found.opset_imports.clear()
    found.opset_imports["far"] = 1
    checks.check_versions(found, "m")


@pytest.mark.parametrize(
    ("fields", "fits"),
    [
        ({"data_type": 1, "dims": [2], "raw_data": bytes(8)}, True),
        ({"data_type": 1, "dims": [2], "raw_data": bytes(7)}, False),
        ({"data_type": 1, "dims": [], "raw_data": bytes(4)}, True),
        ({"data_type": 1, "dims": [], "raw_data": b""}, False),
        ({"data_type": 1, "dims": [0, 5], "raw_data": b""}, True),
        ({"data_type": 22, "dims": [3], "raw_data": bytes(2)}, True),
        ({"data_type": 22, "dims": [3], "raw_data": bytes(3)}, False),
        ({"data_type": 22, "dims": [3], "int32_data": [1, 2]}, True),
        ({"data_type": 22, "dims": [3], "int32_data": [1, 2, 3]}, False),
        ({"data_type": 25, "dims": [5], "raw_data": bytes(2)}, True),
        ({"data_type": 14, "dims": [2], "float_data": [1, 2, 3, 4]}, True),
        ({"data_type": 14, "dims": [2], "float_data": [1, 2, 3, 4, 5]}, False),
        ({"data_type": 8, "dims": [2], "string_data": [b"a", b"b"]}, True),
        ({"data_type": 8, "dims": [2], "string_data": [b"a"]}, False),
        ({"data_type": 1, "dims": [2], "int64_data": [1, 2]}, False),
        ({"data_type": 10, "dims": [2], "int32_data": [1, 2]}, True),
        ({"data_type": 1, "dims": [1], "float_data": [1], "int32_data": [1]}, False),
    ],
    ids=str,
)
def test_bytes_and_entries_must_match_type_and_shape(
    fields: dict[str, object], *, fits: bool
) -> None:
    """Sub-byte types are packed, complex ones take two entries, strings one each."""
    tensor = TensorProto(**fields)  # type: ignore[arg-type]
    if fits:
        checks.check_tensor("m", tensor)
        return
    with pytest.raises(InvalidModelError, match="expected"):
        checks.check_tensor("m", tensor)
