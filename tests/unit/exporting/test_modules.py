"""What the command line says: factories, inputs, dynamic dimensions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import normonnx

torch = pytest.importorskip("torch", reason="modules are torch's: install normonnx[torch]")

from normonnx.exporting import arguments, dynamic  # noqa: E402
from normonnx.exporting.inputs import drawn, dynamic_axes  # noqa: E402
from normonnx.exporting.modules import made_by  # noqa: E402

_FILE = """
import torch
from torch import nn
import beside

def build(): return nn.ReLU()
def pair(): return nn.ReLU(), torch.ones(2)
def named(): return nn.ReLU(), {"input": torch.ones(2)}
def three(): return nn.ReLU(), (), {"input": torch.ones(2)}
def raises(): raise ValueError("no weights\\nhere")
def other(): return 3
class Holder:
    made = nn.ReLU()
number = 3
"""


@pytest.fixture
def factories(tmp_path: Path) -> Path:
    """A file of factories that imports another beside it."""
    path = tmp_path / "some_factories.py"
    path.write_text(_FILE, encoding="utf-8")
    (tmp_path / "beside.py").write_text("", encoding="utf-8")
    (tmp_path / "needs.py").write_text("import no_such_package", encoding="utf-8")
    (tmp_path / "fails.py").write_text("1 / 0", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "args", "kwargs"),
    [
        ("build", None, []),
        ("torch.nn.ReLU", None, []),
        ("Holder.made", None, []),
        ("pair", 1, []),
        ("named", 0, ["input"]),
        ("three", 0, ["input"]),
    ],
)
def test_factories_return_a_module_and_may_say_what_it_is_called_with(
    factories: Path, name: str, args: int | None, kwargs: list[str]
) -> None:
    """A tensor, a tuple or a dict; a module itself will do, too."""
    made = made_by(f"{factories}:{name}")
    assert isinstance(made.module, torch.nn.Module)
    assert (None if made.args is None else len(made.args), list(made.kwargs)) == (args, kwargs)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("some_factories.py:nope", "has no 'nope'; it has .*build"),
        ("some_factories.py:number", "is a int; expected a function"),
        ("some_factories.py:raises", "raised ValueError: no weights; it is called without"),
        ("some_factories.py:other", r"returned \(int\); expected a torch.nn.Module"),
        ("missing.py:build", "missing.py: no such file; name it MODULE:FACTORY"),
        ("needs.py:build", "needs 'no_such_package', which is not installed"),
        ("fails.py:build", "can't be imported: ZeroDivisionError"),
        ("no_such_module:build", "there is no module 'no_such_module'"),
        ("build", "names no factory"),
    ],
)
def test_what_is_no_factory_is_said(
    factories: Path, name: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line, with the way out."""
    monkeypatch.chdir(factories.parent)
    with pytest.raises(normonnx.UsageError, match=words) as caught:
        made_by(name)
    assert "\n" not in str(caught.value)


def test_inputs_are_drawn_as_described() -> None:
    """Seeded numbers; integers are zeros and flags are set, which every module takes."""
    found = drawn(["x:float32[1,3]", "ids:int64[2, 2]", "mask:bool[2]", "s:float16[]"])
    assert [(name, tuple(x.shape), str(x.dtype)) for name, x in found.items()] == [
        ("x", (1, 3), "torch.float32"),
        ("ids", (2, 2), "torch.int64"),
        ("mask", (2,), "torch.bool"),
        ("s", (), "torch.float16"),
    ]
    assert found["mask"].all()
    assert not found["ids"].any()
    assert torch.equal(found["x"], drawn(["x:float32[1,3]"])["x"])


def test_dynamic_dimensions_are_read() -> None:
    """One name for all first axes, or one for each axis."""
    assert dynamic_axes([]) is None
    assert dynamic_axes(["batch"]) == "batch"
    assert dynamic_axes(["x:0=n", "x:2=h", "y:0=n"]) == {"x": {0: "n", 2: "h"}, "y": {0: "n"}}


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda: drawn(["x=3"]), "'x=3' is no input; expected NAME:TYPE"),
        (lambda: drawn(["x:float[3]", "x:float[3]"]), "given twice"),
        (lambda: drawn(["x:tensor[3]"]), "is no input"),
        (lambda: dynamic_axes(["a:b"]), "no dynamic dimension; expected one name"),
        (lambda: dynamic_axes(["batch", "x:0=n"]), "'batch' is no dynamic dimension"),
        (lambda: dynamic.asked({"x": {0: "n"}}, {}), "names input 'x'"),
        (
            lambda: dynamic.asked("n", {"x": torch.ones(2), "y": torch.ones(3)}),
            "'n' is 2 at x:0 and 3 at y:0",
        ),
    ],
)
def test_what_is_no_description_is_said(read: Callable[[], object], words: str) -> None:
    """With what was expected."""
    with pytest.raises(normonnx.UsageError, match=words):
        read()


def test_names_come_from_forward_and_from_what_it_returns() -> None:
    """Nested arguments and results have their keys; a single result is "output"."""

    class Nested(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, pair: object, *rest: object, **more: object) -> object:
            del pair, rest, more
            return [torch.ones(1), {"last": torch.ones(1)}]

    one = torch.ones(1)
    found = arguments.example_of(Nested(), ((one, {"a": one}), one), {"mask": one})
    assert list(found.inputs) == ["pair_0", "pair_1_a", "rest_0", "mask"]
    assert found.outputs == ("output_0", "output_1_last")
    assert arguments.example_of(torch.nn.ReLU(), one, None).outputs == ("output",)


def test_examples_of_size_one_are_widened_where_they_are_dynamic() -> None:
    """torch takes a 1 for a constant."""
    x = torch.ones(1, 3, 1)
    assert dynamic.widened(x, {0: "n"}).shape == (2, 3, 1)
    assert dynamic.widened(torch.ones(4, 3), {0: "n"}).shape == (4, 3)
