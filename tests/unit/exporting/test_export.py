"""`normonnx.export`: names, dynamic dimensions, weights, and what it refuses."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

import normonnx

torch = pytest.importorskip("torch", reason="modules are torch's: install normonnx[torch]")
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from tests.unit.exporting.spelled import (  # noqa: E402
    BatchNormOfWeight,
    FrozenBatchNorm2d,
    StdConv2d,
    image,
)


def _operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def _weight(model: ir.Model, name: str) -> Any:  # noqa: ANN401
    tensor = model.graph.initializers[name].const_value
    assert tensor is not None
    return tensor.numpy()


class _Pair(nn.Module):
    """Two inputs by name, a nested result."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, left: Tensor, *, right: Tensor) -> dict[str, Any]:
        """Two of (N, T, 4)."""
        return {"sum": self.norm(left + right), "both": (left, right)}


def test_names_of_inputs_outputs_nodes_and_weights_survive() -> None:
    """`forward`'s parameters, keys of what it returns, the module's path, the state_dict's keys."""
    model = normonnx.export(
        _Pair().eval(),
        (torch.randn(1, 3, 4),),
        kwargs={"right": torch.randn(1, 3, 4)},
        dynamic={"left": {0: "batch", 1: "tokens"}, "right": ["batch", "tokens", ""]},
    )
    assert [value.name for value in model.graph.inputs] == ["left", "right"]
    assert [value.name for value in model.graph.outputs] == ["sum", "both_0", "both_1"]
    shapes = [[str(dim) for dim in value.shape or ()] for value in model.graph.inputs]
    assert shapes == [["batch", "tokens", "4"]] * 2
    assert {"norm.weight", "norm.bias"} <= set(model.graph.initializers)
    assert "norm" in {node.name for node in model.graph}
    report = model.meta["normonnx.export"]
    assert [(one.module, one.norm, one.found) for one in report.norms] == [
        ("norm", "LayerNorm", "called")
    ]
    assert report.verification.passed
    assert report.checked == 1


def test_other_names_can_be_given(tmp_path: Path) -> None:
    """Also one that is a value's in the middle, and one that was an input's own name."""
    net = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).eval()
    path = tmp_path / "net.onnx"
    normonnx.export(net, torch.randn(2, 4), path, input_names=["linear"], output_names=["input"])
    model = normonnx.load(path)
    assert [model.graph.inputs[0].name, model.graph.outputs[0].name] == ["linear", "input"]
    assert normonnx.validate(path).passed


def test_dynamic_shapes_are_those_of_torch_export() -> None:
    """Strings are names, as torch.onnx.export has them."""
    model = normonnx.export(
        nn.LayerNorm(4).eval(),
        torch.randn(2, 3, 4),
        dynamic_shapes=({0: "n", 1: torch.export.Dim.DYNAMIC},),
    )
    shape = model.graph.inputs[0].shape
    assert shape is not None
    assert str(shape[0]) == "n"
    assert isinstance(shape[1], ir.SymbolicDim)


def test_batch_norms_stay_or_fold_as_asked() -> None:
    """Kept by default; folded, the convolution has other numbers and its name."""
    conv, norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
    norm.running_var = torch.tensor([0.5, 1.0, 1.5, 2.0])
    net = nn.Sequential(conv, norm, nn.ReLU()).eval()
    kept = normonnx.export(net, image(), dynamic="batch")
    assert _operators(kept) == ["Conv", "BatchNormalization", "Relu"]
    assert np.array_equal(_weight(kept, "0.weight"), conv.weight.detach().numpy())
    folded = normonnx.export(net, image(), dynamic="batch", fold=True)
    assert _operators(folded) == ["Conv", "Relu"]
    report = folded.meta["normonnx.export"]
    assert report.verification.passed
    assert len(report.folded) == 1
    assert report.norms == ()


def _weight_norm() -> nn.Module:
    found: nn.Module = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3))
    return found


def _old_weight_norm() -> nn.Module:
    with pytest.warns(FutureWarning):
        found: nn.Module = nn.utils.weight_norm(nn.Conv2d(3, 4, 3))
    return found


def _spectral_norm() -> nn.Module:
    layer = nn.utils.parametrizations.spectral_norm(nn.Conv2d(3, 4, 3))
    layer(image())  # one more step of its iteration, while it trains
    return layer


def _old_spectral_norm() -> nn.Module:
    layer = nn.utils.spectral_norm(nn.Conv2d(3, 4, 3))
    layer(image())
    return layer


@pytest.mark.parametrize(
    "make",
    [
        _weight_norm,
        _old_weight_norm,
        _spectral_norm,
        _old_spectral_norm,
        lambda: StdConv2d(3, 4, 3),
        lambda: BatchNormOfWeight(3, 4, 3),
    ],
    ids=["weight_norm", "old_weight_norm", "spectral_norm", "old_spectral_norm", "std", "bn_std"],
)
def test_computed_weights_are_evaluated_in_float64_and_rounded_once(
    make: Callable[[], nn.Module],
) -> None:
    """The file has one convolution with the weight's own name, and the module is as it was."""
    torch.manual_seed(0)
    layer = make().eval()
    before = set(layer.state_dict())
    model = normonnx.export(nn.Sequential(layer).eval(), image(), dynamic="batch")
    assert _operators(model) == ["Conv"]
    assert model.meta["normonnx.export"].verification.passed
    assert model.meta["normonnx.export"].norms == ()
    assert set(layer.state_dict()) == before
    assert np.array_equal(_weight(model, "0.weight"), _in_float64(layer))


def _in_float64(layer: nn.Module) -> Any:  # noqa: ANN401
    """The weight that a convolution is called with, computed in float64 and rounded."""
    seen: list[Tensor] = []

    class Watch(torch.overrides.TorchFunctionMode):  # type: ignore[misc, name-defined]
        def __torch_function__(
            self,
            func: Any,  # noqa: ANN401  # torch's signature
            types: Any,  # noqa: ANN401
            args: Any = (),  # noqa: ANN401
            kwargs: Any = None,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            del types
            if func in (torch.conv2d, functional.conv2d):
                seen.append(args[1])
            return func(*args, **(kwargs or {}))

    layer(image())  # the older hooks leave a weight with a history
    with torch.no_grad():
        layer(image())
        wide = copy.deepcopy(layer).double()
        with Watch():
            wide(image().double())
    return seen[0].float().numpy()


def test_a_frozen_batch_norm_is_one() -> None:
    """By what its class is called; a scale and a shift elsewhere are what they are."""
    net = nn.Sequential(nn.ReLU(), FrozenBatchNorm2d(3)).eval()
    model = normonnx.export(net, image())
    assert _operators(model) == ["Relu", "BatchNormalization"]
    (norm,) = model.meta["normonnx.export"].norms
    assert (norm.norm, norm.found, norm.module) == ("BatchNorm", "recognised", "1")

    class Affine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            """A scale for each channel, and a shift."""
            y: Tensor = torch.relu(x) * torch.tensor([[[2.0]], [[3.0]], [[4.0]]]) + 1.0
            return y

    assert "BatchNormalization" not in _operators(normonnx.export(Affine().eval(), image()))


def test_training_mode_is_asked_for() -> None:
    """Refused, with the submodule's name; else the batch's own statistics."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    net[1].train()
    with pytest.raises(normonnx.UsageError, match=r"submodule '1' .* is in training mode"):
        normonnx.export(net, image())
    model = normonnx.export(net, image(), training=True, style="function")
    (norm,) = model.meta["normonnx.export"].norms
    assert norm.norm == "BatchNormTraining"
    assert model.meta["normonnx.export"].verification.passed
    assert net[1].num_batches_tracked == 0, "the module stays as it is"


class _Decides(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class _Eigenvalues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.linalg.eigvals(x).real
        return found


class _Fixed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(2, 12)


class _Nothing(nn.Module):
    def forward(self, x: Tensor) -> int:
        return x.ndim


@pytest.mark.parametrize(
    ("module", "args", "options", "words"),
    [
        (
            _Decides(),
            (torch.ones(2, 3),),
            {},
            "decides by the numbers in a tensor at .*torch.where",
        ),
        (_Eigenvalues(), (torch.ones(3, 3),), {}, "no translation for aten.linalg_eig"),
        (nn.Linear(3, 4), (torch.ones(2, 5),), {}, "fails on the arguments given .*2, 5.* accepts"),
        (nn.Linear(3, 4), (), {}, "can't be called so: missing a required argument: 'input'"),
        (nn.Linear(3, 4), (torch.ones(2, 3),) * 2, {}, "too many positional arguments"),
        (_Nothing(), (torch.ones(2),), {}, "returns int, with no tensor"),
        (_Fixed(), (torch.ones(2, 3, 4),), {"dynamic": "n"}, "is to be dynamic can't be"),
        (nn.ReLU(), (torch.ones(2),), {"opset": 12}, "opset 12 is not supported .* 13 to"),
        (nn.ReLU(), (torch.ones(2),), {"opset": 99}, "opset 99 is not supported"),
        (nn.ReLU(), (torch.ones(2),), {"style": "best"}, "style 'best' is unknown"),
        (nn.ReLU(), (torch.ones(2),), {"dynamic": {"y": {0: "n"}}}, "input 'y'; the module has"),
        (nn.ReLU(), (torch.ones(2),), {"dynamic": {"input": {1: "n"}}}, "axes 0 to 0; 1 can't"),
        (nn.ReLU(), (torch.ones(2),), {"dynamic": "1 2"}, "no name of a dimension"),
        (nn.ReLU(), (torch.ones(2),), {"input_names": ["a", "b"]}, "2 input names .* has 1"),
        (
            nn.ReLU(),
            (torch.ones(2),),
            {"dynamic": "n", "dynamic_shapes": ({0: "n"},)},
            "give one of them",
        ),
    ],
)
def test_what_can_t_be_exported_is_said_in_one_line(
    module: nn.Module,
    args: tuple[Tensor, ...],
    options: dict[str, Any],
    words: str,
) -> None:
    """With what was found and the way out."""
    with pytest.raises(normonnx.UsageError, match=words) as caught:
        normonnx.export(module.eval(), args, **options)
    assert "\n" not in str(caught.value)


class _Changing(nn.Module):
    """What it does while it is traced is not what it does."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4) to the same."""
        y: Tensor = self.norm(x)
        return y * 1.001 if torch.compiler.is_exporting() else y


class _Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.changing = _Changing()
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4) to (N, 2)."""
        out: Tensor = self.head(torch.relu(self.changing(self.stem(x))))
        return out


def test_a_mismatch_names_the_submodule_and_writes_nothing(tmp_path: Path) -> None:
    """The innermost one that was given what is right and gave what is not."""
    path = tmp_path / "out.onnx"
    with pytest.raises(normonnx.MismatchError, match=r"_Changing 'changing'"):
        normonnx.export(_Network().eval(), torch.randn(3, 4), path)
    assert not path.exists()
    normonnx.export(_Network().eval(), torch.randn(3, 4), path, verify=False)
    assert path.exists()
