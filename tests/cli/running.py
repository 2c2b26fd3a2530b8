"""Small models, and what came of running the command line on them."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

ROOT = Path(__file__).parents[2]
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CONV_BN = """
<ir_version: 8, opset_import: ["" : 17], producer_name: "tests", producer_version: "1">
net (float[N,3,8,8] x) => (float[N,4,8,8] y) {
  c = Conv<pads = [1, 1, 1, 1]>(x, w)
  b = BatchNormalization(c, scale, bias, mean, var)
  y = Relu(b)
}
"""
KEPT = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N,3,8,8] x) => (float[N,3,8,8] y) {
  r = Relu(x)
  y = BatchNormalization(r, scale3, bias3, mean3, var3)
}
"""
CUSTOM = """
<ir_version: 8, opset_import: ["" : 17, "acme" : 1]>
net (float[N,3,8,8] x) => (float[N,4,8,8] y) {
  c = Conv<pads = [1, 1, 1, 1]>(x, w)
  b = BatchNormalization(c, scale, bias, mean, var)
  y = acme.Sparkle(b)
}
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of the command line.

    Attributes:
        code: Its exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401  # JSON can be anything
        """Stdout as strict JSON."""
        return json.loads(self.out, parse_constant=_refuse_constant)

    def refused(self, code: int, *words: str) -> None:
        """Check that it ended with one line on stderr that says so, and nothing on stdout."""
        assert self.code == code, self
        assert self.out == "", self
        assert self.err.count("\n") == 1, self
        assert self.err.startswith("normonnx: error: "), self
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err, self


def _refuse_constant(name: str) -> None:
    message = f"{name} is no JSON"
    raise ValueError(message)


Cli = Callable[..., Ran]


def with_weights(text: str, seed: int = 0) -> onnx.ModelProto:
    """A model in ONNX text with seeded weights for the names that its nodes read."""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"w": (4, 3, 3, 3)}
    for name in ("scale", "bias", "mean", "var"):
        shapes |= {name: (4,), f"{name}3": (3,)}
    used = {name for node in model.graph.node for name in node.input}
    for name, shape in shapes.items():
        if name in used:
            drawn = rng.standard_normal(shape).astype(np.float32)
            array = np.abs(drawn) + 0.5 if name.startswith("var") else drawn
            model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


@dataclass(frozen=True, slots=True)
class Models:
    """Model files in one folder.

    Attributes:
        folder: Where they are.
        conv_bn: A BatchNormalization that folds into a Conv.
        kept: One that does not, after a Relu on a graph input.
        custom: As conv_bn, with an operator of an unknown domain behind it.
    """

    folder: Path
    conv_bn: Path
    kept: Path
    custom: Path

    def write(self, name: str, content: bytes) -> Path:
        """Put a file of these bytes into the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path


def on_terminal(*arguments: str, errors: bool = True, env: Mapping[str, str] | None = None) -> str:
    """What a terminal of 60 columns gets to see: stdout and, unless left out, stderr."""
    leader, follower = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "60", **(env or {})}
    with subprocess.Popen(
        [sys.executable, "-m", "normonnx", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=follower if errors else subprocess.DEVNULL,
    ) as process:
        os.close(follower)
        seen = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # how Linux says that the other end is closed
                break
            if not part:
                break
            seen += part
    os.close(leader)
    assert process.returncode == 0, seen
    return seen.decode()


def without_styles(seen: str) -> str:
    """What a terminal shows, without how: colours, and what a bar wiped away, go."""
    return _ESCAPE.sub("", seen)
