"""Which parameters of a use were given."""

from __future__ import annotations

import numpy as np

import normonnx


def test_defaults_are_not_given() -> None:
    """Also where they were spelled out; arrays, and what comes at run time, are."""
    define = normonnx.norms["LayerNorm"].define
    assert define((2, 4)).given == frozenset()
    assert define((2, 4), scale=np.ones(1, np.float32)).given == frozenset()
    assert define((2, 4), scale=np.ones(4, np.float32)).given == frozenset()
    assert define((2, 4), scale=np.full(4, 2, np.float32)).given == {"scale"}
    assert define((2, 4), scale=np.full(1, 2, np.float32)).given == {"scale"}
    assert define((2, 4), bias=("D",)).given == {"bias"}
    fitted = {"mean": np.zeros(1, np.float32), "var": np.ones(1, np.float32)}
    assert normonnx.norms["BatchNorm"].define((2, 4), **fitted).given == {"mean", "var"}
