"""Uses of every normalization to try: shapes, parameters, attributes, and how they are run."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import onnxruntime

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.checking import expected_shape
from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import Array, Form, Norm
from normonnx.runtime.engines import ort_values

FUNCTION: Final = "function"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Use:
    """One way to use a normalization.

    Attributes:
        norm: Its name.
        shape: Of X; the batch is dynamic in models.
        attributes: By name.
        given: Parameters that are given, None for all.
        static: Whether models know the batch.
    """

    norm: str
    shape: Shape
    attributes: Mapping[str, Any] = field(default_factory=dict)
    given: tuple[str, ...] | None = None
    static: bool = False

    @property
    def id(self) -> str:
        """For a test's name."""
        shown = [f"{name}={value}" for name, value in self.attributes.items()]
        some = [] if self.given is None else [f"with {'+'.join(self.given) or 'nothing'}"]
        fixed = ["static"] if self.static else []
        return " ".join([self.norm, "x".join(map(str, self.shape)), *shown, *some, *fixed])


_EXPLICIT: Final = (
    Use("BatchNorm", (4, 6, 5, 3)),
    Use("BatchNorm", (7, 5)),
    Use("BatchNorm", (2, 4, 9), given=("mean", "var")),
    Use("BatchNorm", (2, 4, 3, 2, 3), {"epsilon": 1e-3}),
    Use("BatchNormTraining", (4, 6, 5, 3)),
    Use("BatchNormTraining", (9, 5), {"momentum": 0.5, "ddof": 1}),
    Use("BatchNormTraining", (2, 4, 9), given=()),
    Use("LayerNorm", (4, 6, 8)),
    Use("LayerNorm", (4, 6, 8), {"axis": 1}, given=()),
    Use("LayerNorm", (2, 3, 4, 5), {"axis": -3, "epsilon": 1e-3}),
    Use("LayerNorm", (3, 9), {"axis": 1}, given=("scale",)),
    Use("LayerNorm", (4, 6, 8), static=True),
    *(Use("GroupNorm", (4, 6, 5, 3), {"num_groups": groups}) for groups in (1, 2, 6)),
    Use("GroupNorm", (2, 8), {"num_groups": 2}, given=()),
    Use("GroupNorm", (2, 8, 9), {"num_groups": 4}),
    Use("GroupNorm", (2, 8, 3, 2, 4), {"num_groups": 4, "epsilon": 1e-3}),
    Use("InstanceNorm", (4, 6, 5, 3)),
    Use("InstanceNorm", (2, 3, 9), given=()),
    Use("InstanceNorm", (2, 3, 4, 2, 3)),
    Use("RMSNorm", (4, 6, 8)),
    Use("RMSNorm", (2, 3, 4, 5), {"axis": 1}, given=()),
    *(
        Use("LocalResponseNorm", (2, 7, 4, 5), {"size": size, "torch_window": side})
        for size in (1, 3, 4, 5)
        for side in (0, 1)
    ),
    Use("LocalResponseNorm", (2, 7, 4), {"size": 5, "beta": 0.5, "alpha": 1.0}),
    Use("LocalResponseNorm", (2, 7, 2, 3, 4), {"size": 2, "bias": 2.0, "alpha": 0.1}),
    *(
        Use("LpNorm", (3, 4, 16), {"p": p, "axis": axis, "epsilon": epsilon})
        for p in (1, 2)
        for axis in (-1, 1)
        for epsilon in (0.0, 1e-12)
    ),
    Use("LpNorm", (3, 5), {"p": 3.0}),
    Use("MeanVarianceNorm", (3, 4, 5, 6)),
    Use("MeanVarianceNorm", (3, 4, 5, 6), {"axes": (0, 1, 2, 3)}),
    Use("MeanVarianceNorm", (3, 4, 8), {"axes": (1, 2), "epsilon": 1e-5}),
    Use("LayerNorm2d", (2, 8, 4, 5)),
    Use("LayerNorm2d", (2, 8), given=()),
    Use("GlobalResponseNorm", (2, 5, 4, 8)),
    Use("GlobalResponseNorm", (2, 8, 5, 4), {"axis": 1}),
    Use("GlobalResponseNorm", (2, 5, 8), given=()),
    Use("AdaptiveLayerNorm", (2, 5, 8)),
    Use("AdaptiveLayerNorm", (2, 3, 4, 8), {"offset": 1.0}),
    Use("AdaptiveLayerNorm", (2, 8), given=()),
    Use("AdaptiveInstanceNorm", (2, 8, 5, 3)),
    Use("AdaptiveInstanceNorm", (2, 8, 7), {"offset": 1.0}, given=("scale",)),
    Use("FilterResponseNorm", (2, 8, 5, 3)),
    Use("FilterResponseNorm", (2, 8, 5), given=()),
    Use("ScaleNorm", (2, 5, 8)),
    Use("DynamicTanh", (2, 5, 8)),
)
_REQUIRED: Final = {"num_groups": 2, "size": 3}
_DEFAULT_SHAPES: Final = {"NC*": (3, 4, 5, 6), "N*C": (3, 5, 4), "NC": (6, 4)}


def uses_of(norm: Norm) -> Sequence[Use]:
    """What is listed above; for a norm without a row, its defaults on a small shape."""
    listed = [use for use in _EXPLICIT if use.norm == norm.name]
    return listed or [Use(norm.name, _DEFAULT_SHAPES[norm.region.layout])]


def every_use() -> list[Use]:
    """Uses of all normalizations."""
    return [use for norm in CATALOGUE.values() for use in uses_of(norm)]


def parameters_of(
    use: Use, dtype: npt.DTypeLike, scale: float = 1.0, *, seed: int = 1
) -> dict[str, Array]:
    """Random parameters; what was measured on data is of the data's scale."""
    norm = CATALOGUE[use.norm]
    source = np.random.default_rng(seed)
    found = {}
    for parameter in norm.parameters:
        if use.given is not None and parameter.name not in use.given:
            continue
        axis = int(use.attributes.get("axis", -1))
        dims = tuple(int(dim or 1) for dim in expected_shape(parameter, use.shape, axis))
        positive = parameter.positive or parameter.name in {"var", "scale", "max_abs", "maximum"}
        values = source.random(dims) + 0.5 if positive else source.standard_normal(dims)
        if parameter.name == "minimum":
            values = -source.random(dims) - 0.5
        if parameter.statistic and parameter.name != "lambdas":
            values = values * (scale**2 if parameter.name == "var" else scale)
        kind = np.float32 if parameter.statistic and dtype == np.float16 else dtype  # a variance
        found[parameter.name] = np.asarray(values).astype(kind)
    return found


def attributes_of(norm: Norm, given: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes, with numbers for those that have no default."""
    missing = {
        each.name: _REQUIRED.get(each.name, 2) for each in norm.attributes if each.default is None
    }
    return {**missing, **given}


def input_of(
    use: Use, dtype: npt.DTypeLike, *, scale: float = 1.0, mean: float = 0.0, seed: int = 0
) -> Array:
    """Normal numbers; positive where the logarithm of X is taken."""
    x = np.random.default_rng(seed).standard_normal(use.shape) * scale + mean
    if use.norm == "BoxCox":
        x = np.abs(x) + 0.01 * scale
    return np.asarray(x.astype(dtype))


def call_of(
    use: Use, dtype: npt.DTypeLike, scale: float = 1.0
) -> tuple[NormCall, dict[str, Array]]:
    """The use as a call with a dynamic batch, and what is fed to it besides X."""
    norm = CATALOGUE[use.norm]
    given: dict[str, Any] = dict(parameters_of(use, dtype, scale))
    runtime = {}
    for parameter in norm.parameters:
        if "SAMPLE" in parameter.extent.name and parameter.name in given:
            runtime[parameter.name] = given[parameter.name]
            given[parameter.name] = ("N", *given[parameter.name].shape[1:])
    attributes = attributes_of(norm, use.attributes)
    batch: int | str = use.shape[0] if use.static else "N"
    return norm.define((batch, *use.shape[1:]), dtype, **given, **attributes), runtime


def run(model: ir.Model | onnx.ModelProto, feeds: Mapping[str, Array]) -> list[Array]:
    """What ONNX Runtime makes of it on CPU."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = {value.name for value in session.get_inputs()}
    return ort_values.run(session, {k: v for k, v in feeds.items() if k in names})


@functools.cache
def highest_opset() -> int:
    """The highest opset that the installed ONNX Runtime loads."""
    text = (
        '<ir_version: 10, opset_import: ["": {}]> g (float[2] x) => (float[2] y) {{ y = Neg(x) }}'
    )
    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        try:
            run(onnx.parser.parse_model(text.format(opset)), {"x": np.zeros(2, np.float32)})
        except Exception:  # noqa: BLE001, S112  # whatever the runtime raises
            continue
        return opset
    raise AssertionError


def has_cpu_kernels(form: Form) -> bool:
    """Whether ONNX Runtime runs a form on CPU: com.microsoft's GroupNorm has a kernel for CUDA."""
    return "com.microsoft" not in form.domains


def forms_at(call: NormCall, opset: int, *, caveats: bool = True) -> Iterator[str]:
    """Names of the forms that a call may take, the function among them."""
    for form in call.forms_at(opset):
        if caveats or not form.caveat:
            yield form.name
    if opset >= 13:
        yield FUNCTION
