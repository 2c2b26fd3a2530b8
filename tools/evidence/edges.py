"""Stage "edges": single normalizations on inputs that break kernels. Figures, no verdicts.

A scale of lower rank than the input is legal where it broadcasts: (S, D) for an input (B, S, D).
Kernels have taken the first row of it for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
import onnx_ir as ir
from onnx import numpy_helper

from normonnx.core.dtypes import largest, smallest_normal, unit_roundoff
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.timing.intervals import round_to
from normonnx.validation.measures import noise_floor, relative_error
from tools.evidence import sessions
from tools.evidence.items import Item
from tools.evidence.manifest import Manifest
from tools.evidence.subjects import Context

Array = npt.NDArray[Any]

_ROWS, _PIXELS = (4, 16, 256), (2, 32, 12, 12)
# Operator: opset, call, shape of x, shapes of the scale by what they are called.
_NORMS: Final[Mapping[str, tuple[int, str, tuple[int, ...], Mapping[str, tuple[int, ...]]]]] = {
    "LayerNormalization": (
        17,
        "LayerNormalization<axis = -1>(x, w, b)",
        _ROWS,
        {"full": (256,), "rank-reduced": (16, 256), "full-rank": (1, 16, 256)},
    ),
    "RMSNormalization": (
        23,
        "RMSNormalization<axis = -1>(x, w)",
        _ROWS,
        {"full": (256,), "rank-reduced": (16, 256), "full-rank": (1, 16, 256)},
    ),
    "GroupNormalization": (
        21,
        "GroupNormalization<num_groups = 8>(x, w, b)",
        _PIXELS,
        {"full": (32,)},
    ),
    "InstanceNormalization": (
        13,
        "InstanceNormalization(x, w, b)",
        _PIXELS,
        {"full": (32,)},
    ),
}
_TYPES: Final = {"float": np.float32, "float16": np.float16}


def items(_manifest: Manifest, backend: str) -> Sequence[Item]:
    """Each norm in each type and with each scale."""
    return [
        Item(
            f"edges:{norm}:{dtype}:{scale}",
            f"{__name__}:profile",
            backend,
            {"norm": norm, "dtype": dtype, "scale": scale},
            60,
        )
        for norm, (_, _, _, scales) in _NORMS.items()
        for scale in scales
        for dtype in _TYPES
    ]


def profile(context: Context, arguments: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Run one norm on all inputs."""
    dtype = np.dtype(_TYPES[arguments["dtype"]])
    model = norm_model(arguments["norm"], arguments["dtype"], arguments["scale"])
    session = sessions.opened(model, context.backend)
    loaded = ir.from_proto(model)
    shape = _NORMS[arguments["norm"]][2]
    found: dict[str, Any] = {}
    for name, draw in PROFILES.items():
        x = draw(np.random.default_rng(7), shape, dtype)
        if x is not None:
            found[name] = _figures(session, loaded, x)
    provider = sessions.provider_of(context.backend)
    return {"status": "ok", "profiles": found, **sessions.placement(session, provider)}


def norm_model(norm: str, dtype: str, scale: str) -> onnx.ModelProto:
    """One normalization of any batch and image size."""
    opset, call, shape, scales = _NORMS[norm]
    dims = f"N,{shape[1]},{shape[2]}" if len(shape) == len(_ROWS) else f"N,{shape[1]},H,W"
    model: onnx.ModelProto = onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["": {opset}]>\n'
        f"edge ({dtype}[{dims}] x) => ({dtype}[{dims}] y) {{ y = {call} }}"
    )
    source = np.random.default_rng(3)
    for name, mean in (("w", 1.0), ("b", 0.0)):
        if name in model.graph.node[0].input:
            drawn = source.normal(mean, 0.25, scales[scale]).astype(_TYPES[dtype])
            model.graph.initializer.append(numpy_helper.from_array(drawn, name))
    return model


def _figures(session: Any, model: ir.Model, x: Array) -> dict[str, Any]:  # noqa: ANN401
    """Error in u, and what is not finite, there and in the truth."""
    try:
        found = session.run(None, {"x": x})[0]
    except Exception as problem:  # noqa: BLE001  # one profile that fails leaves the others
        return {"failed": str(problem).strip().splitlines()[0][:200]}
    truth = evaluate(model, {"x": x})["y"]
    moved = [evaluate(model, {"x": x}, perturb=Perturbation(seed))["y"] for seed in range(2)]
    u = unit_roundoff(found.dtype)
    numbers = found.astype(np.float64)
    error = relative_error(numbers, truth, u)
    beyond = np.abs(truth) > largest(found.dtype)
    return {
        "error": round_to(error, 4),
        "ratio": round_to(error / noise_floor(truth, moved, u), 4),
        "nan": int(np.isnan(numbers).sum()),
        "inf": int(np.isinf(numbers).sum()),
        "truth_nan": int(np.isnan(truth).sum()),
        "truth_inf": int((np.isinf(truth) | beyond).sum()),
    }


# --- inputs ---------------------------------------------------------------------------------------

Draw = Callable[[np.random.Generator, tuple[int, ...], "np.dtype[Any]"], Array | None]


def _normal(mean: float = 0.0, deviation: float = 1.0) -> Draw:
    def draw(
        source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> Array | None:
        top = 0.9 * largest(dtype)
        return np.clip(source.normal(mean, deviation, shape), -top, top).astype(dtype)

    return draw


def _constant(
    _source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array | None:
    return np.full(shape, 3.0, dtype)


def _subnormal(
    source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array | None:
    return np.asarray(source.uniform(-1, 1, shape) * smallest_normal(dtype)).astype(dtype)


def _one_hot(
    _source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array | None:
    found = np.zeros(shape, dtype)
    found.reshape(*shape[:2], -1)[..., 1] = 1
    return found


def _batch_of_one(
    source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array | None:
    return source.standard_normal((1, *shape[1:])).astype(dtype)


def _one_pixel(
    source: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array | None:
    """Only for norms of images."""
    if len(shape) == len(_ROWS):
        return None
    return source.standard_normal((*shape[:2], 1, 1)).astype(dtype)


PROFILES: Final[Mapping[str, Draw]] = {
    "normal": _normal(),
    "constant": _constant,
    "mean 1e2": _normal(1e2),
    "mean 1e4": _normal(1e4),
    "tiny 1e-4": _normal(0.0, 1e-4),
    "huge 1e4": _normal(0.0, 1e4),
    "subnormal": _subnormal,
    "one-hot": _one_hot,
    "batch of 1": _batch_of_one,
    "1x1 pixels": _one_pixel,
}
