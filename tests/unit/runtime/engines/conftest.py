"""Models, and runtimes of a test's own making."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import normonnx
from normonnx.core.verdicts import ValidationReport, Verdict
from normonnx.runtime import backends
from normonnx.runtime.backends import Outcome, Request
from tests.fake_runtimes import FakeOrt, put_first

HEAD = '<ir_version: 8, opset_import: ["": 17]>\n'
NEG = "g (float[n] x) => (float[n] y) { y = Neg(x) }"
X = {"x": np.arange(1, 6, dtype=np.float32)}
Run = Callable[..., Outcome]


def reason_of(outcome: Outcome) -> str:
    """The reason of a backend that is unavailable: always one line, and nothing was computed."""
    assert outcome.run.verdict is Verdict.UNAVAILABLE
    assert outcome.outputs == ()
    assert outcome.run.reason
    assert "\n" not in outcome.run.reason
    return outcome.run.reason


def validated(**options: Any) -> ValidationReport:  # noqa: ANN401  # of any kind
    """The report on NEG, on CUDA unless another backend is named."""
    model = onnx.parser.parse_model(HEAD + NEG)
    return normonnx.validate(model, inputs=X, **{"backends": ("ort:cuda",), **options})


@pytest.fixture
def fake_ort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeOrt:
    """An onnxruntime that has CUDA, if you believe it; workers find it before the real one."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    put_first(folder, monkeypatch)
    found = FakeOrt(folder)
    found.says()
    return found


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`sample_nets.py` as the module own_nets, found on sys.path alone, as beside a script."""
    folder = tmp_path / "user"
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("sample_nets.py"), folder / "own_nets.py")
    monkeypatch.syspath_prepend(str(folder))
    import own_nets  # type: ignore[import-not-found]

    yield own_nets
    del sys.modules["own_nets"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a model, in ONNX text or as a proto, on a backend."""

    def run_on(
        backend: str,
        model: str | onnx.ModelProto,
        *cases: Mapping[str, Any],
        limits: Sequence[float] = (120,),
        module: object = None,
    ) -> Outcome:
        if isinstance(model, str):
            model = onnx.parser.parse_model(model if model.startswith("<") else HEAD + model)
        path = tmp_path / "model.onnx"
        onnx.save(model, path)
        timeout, *memory = limits
        taken = int(memory[0]) if memory else None
        return backends.run(backend, Request(path, cases, timeout, taken, module))

    return run_on
