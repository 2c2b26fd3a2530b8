"""The simplest model: what fails on it fails for another reason than the model."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx.parser

_TEXT: Final = (
    '<ir_version: 8, opset_import: ["": 13]>\n'
    "canary (float[4, 4] X) => (float[4, 4] Y) { Y = MatMul(X, X) }"
)
MODEL: Final[bytes] = onnx.parser.parse_model(_TEXT).SerializeToString()
FEEDS: Final = {"X": np.eye(4, dtype=np.float32)}
