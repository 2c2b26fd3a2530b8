"""A normalization is added with one new file and one row, and everything else follows.

PixelNorm (Karras et al., Progressive Growing of GANs, 2018) is not in the catalogue. It is added to a
copy of the package; the command line, the API, and the tests of forms, functions and regions know it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import normonnx

pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

ROOT = Path(normonnx.__file__).parents[1]
FILE = '''
"""PixelNorm: each position divided by the root mean square of its channels."""

from typing import Final

import numpy as np

from normonnx.catalogue import steps
from normonnx.catalogue.norm import Form, Norm, Region, Share, epsilon, stash_type


def formula(x, *, epsilon, **_):
    return x / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + epsilon)


def _body(op, x):
    rows = steps.rows_of_channels(op, op.wide(x))
    z = op("Div", rows, steps.deviation(op, rows, lambda value: op.mean(value, (1,))))
    return op.back(op.like(z, x), x)


def _chain(op, x):
    wide = op.wide(x)
    return op.back(op("Div", wide, steps.deviation(op, wide, lambda v: op.mean(v, (1,)))), x)


PIXEL_NORM: Final = Norm(
    name="PixelNorm",
    parameters=(),
    attributes=(epsilon(1e-8, to="the mean square"), stash_type()),
    formula=formula,
    forms=(Form("by rows", _body, since=13, generic=True), Form("chain", _chain)),
    equation="y = x / sqrt(mean(x^2) + epsilon)",
    region=Region(Share.ONE, Share.ALL, Share.ONE),
    source="Karras et al., Progressive Growing of GANs, 2018",
    use="generators, in place of BatchNorm",
)
'''
ROW = '    "rms_norm",\n'
TESTS = ("test_forms.py", "test_functions.py", "test_regions.py", "test_bad_input.py")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with one more file and one more row."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "normonnx", folder / "normonnx")
    shutil.copytree(ROOT / "tests" / "unit" / "catalogue", folder / "tests" / "unit" / "catalogue")
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "normonnx" / "catalogue" / "pixel_norm.py").write_text(FILE.lstrip())
    table = folder / "normonnx" / "catalogue" / "contents.py"
    text = table.read_text()
    assert text.count(ROW) == 1
    table.write_text(text.replace(ROW, ROW + '    "pixel_norm",\n'))
    return folder


def _ran(copy: Path, *arguments: str) -> str:
    """What Python prints on the copy."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_api_and_the_command_line_know_it(copy: Path) -> None:
    """Listed, explained, compared, and evaluated in float64."""
    assert "PixelNorm" in _ran(copy, "-m", "normonnx", "list", "norms")
    said = _ran(copy, "-m", "normonnx", "explain", "pixelnorm")
    assert "normonnx::PixelNorm" in said
    assert "Karras et al." in said
    assert "PixelNorm" in _ran(
        copy, "-m", "normonnx", "explain", "--compare", "PixelNorm", "RMSNorm"
    )
    code = (
        "import normonnx, numpy as np; assert normonnx.__file__.startswith({!r})\n"
        "y = normonnx.norms['PixelNorm'].reference(np.full((1, 4, 2, 2), 3.0)); print(y.mean())"
    )
    assert float(_ran(copy, "-c", code.format(str(copy)))) == pytest.approx(1.0)


@pytest.mark.slow
def test_the_tests_hold_it_to_the_same_standard(copy: Path) -> None:
    """Forms, functions, regions and bad input are tried with no line of test added."""
    paths = [f"tests/unit/catalogue/{name}" for name in TESTS]
    said = _ran(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "PixelNorm", *paths)
    assert "failed" not in said
    passed = int(said.rpartition(" passed")[0].rpartition("\n")[2].split()[-1])
    assert passed >= 20


@pytest.mark.slow
def test_a_wrong_form_is_found(copy: Path) -> None:
    """So the test above can fail: a chain that forgets epsilon."""
    file = copy / "normonnx" / "catalogue" / "pixel_norm.py"
    right = file.read_text()
    wrong = 'op("Div", wide, op("Sqrt", op.mean(op("Mul", wide, wide), (1,))))'
    file.write_text(
        right.replace(
            'op("Div", wide, steps.deviation(op, wide, lambda v: op.mean(v, (1,))))', wrong
        )
    )
    try:
        with pytest.raises(AssertionError, match=r"test_every_form_is_the_reference_in_float32"):
            _ran(
                copy, "-m", "pytest", "-q", "-k", "PixelNorm", "tests/unit/catalogue/test_forms.py"
            )
    finally:
        file.write_text(right)
