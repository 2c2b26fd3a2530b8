"""torch's normalization layers, every class in every variant, against reference and forms.

The layer is evaluated by torch in float64; the reference must agree to float64 and every form of the
catalogue, on ONNX Runtime with a dynamic batch, to float32.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import pytest

from normonnx.catalogue.contents import CATALOGUE
from normonnx.core.errors import UsageError
from normonnx.validation.measures import relative_error
from tests.unit.catalogue.uses import FUNCTION, forms_at, highest_opset, run

torch = pytest.importorskip(
    "torch", reason="its layers are the other side: install normonnx[torch]"
)
pytest.importorskip("onnxruntime", reason="forms run on it: install normonnx[cpu]")

LIMIT: Final = 16.0
OPSETS: Final = {"ends": (13, highest_opset()), "between": (17, 18, 21, 23)}
_SIZES: Final = {1: (4, 6, 7), 2: (4, 6, 5, 3), 3: (3, 4, 2, 3, 4)}
Variant = tuple[str, Any, tuple[int, ...], bool]


def _shown(options: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in options.items())


def _batch_norms() -> Iterator[Variant]:
    nn = torch.nn
    options: Sequence[dict[str, Any]] = (
        {},
        {"affine": False},
        {"eps": 1e-3},
        {"momentum": None},
        {"momentum": 0.3},
        {"track_running_stats": False},
        {"affine": False, "track_running_stats": False},
        {"bias": False},
    )
    for rank, shape in _SIZES.items():
        for kind in (f"BatchNorm{rank}d", f"LazyBatchNorm{rank}d"):
            lazy = kind.startswith("Lazy")
            for given in options:
                made = getattr(nn, kind)(**given) if lazy else getattr(nn, kind)(shape[1], **given)
                for training in (False, True):
                    yield f"{kind}({_shown(given)})", made, shape, training
    yield "BatchNorm1d(rows)", nn.BatchNorm1d(6), (5, 6), False
    yield "BatchNorm1d(rows)", nn.BatchNorm1d(6), (5, 6), True
    for given in options[:3]:
        yield f"SyncBatchNorm({_shown(given)})", nn.SyncBatchNorm(6, **given), _SIZES[2], False


def _instance_norms() -> Iterator[Variant]:
    nn = torch.nn
    options: Sequence[dict[str, Any]] = (
        {},
        {"affine": True},
        {"eps": 1e-3},
        {"track_running_stats": True},
        {"affine": True, "track_running_stats": True},
        {"affine": True, "bias": False},
    )
    for rank, shape in _SIZES.items():
        for kind in (f"InstanceNorm{rank}d", f"LazyInstanceNorm{rank}d"):
            lazy = kind.startswith("Lazy")
            for given in options:
                made = getattr(nn, kind)(**given) if lazy else getattr(nn, kind)(shape[1], **given)
                for training in (False, True):
                    yield f"{kind}({_shown(given)})", made, shape, training


def _group_norms() -> Iterator[Variant]:
    options: Sequence[dict[str, Any]] = ({}, {"affine": False}, {"eps": 1e-3}, {"bias": False})
    for groups, given, shape in product((1, 2, 6), options, ((4, 6), *_SIZES.values())):
        if shape[1] % groups == 0:
            made = torch.nn.GroupNorm(groups, shape[1], **given)
            yield f"GroupNorm({groups},{_shown(given)})", made, shape, False


def _row_norms() -> Iterator[Variant]:
    plain: Sequence[dict[str, Any]] = ({}, {"elementwise_affine": False}, {"eps": 1e-3})
    options = {"LayerNorm": (*plain, {"bias": False}), "RMSNorm": plain}
    for kind, variants in options.items():
        for given, normalized in product(variants, ((3,), (5, 3), (6, 5, 3))):
            made = getattr(torch.nn, kind)(normalized, **given)
            yield f"{kind}({normalized},{_shown(given)})", made, (4, 6, 5, 3), False


def _local_response_norms() -> Iterator[Variant]:
    options: Sequence[dict[str, Any]] = ({}, {"alpha": 0.1, "beta": 0.5, "k": 2.0})
    for size, given, shape in product((1, 2, 3, 4, 5), options, _SIZES.values()):
        made = torch.nn.LocalResponseNorm(size, **given)
        yield f"LocalResponseNorm({size},{_shown(given)})", made, shape, False


VARIANTS = [
    *_batch_norms(),
    *_instance_norms(),
    *_group_norms(),
    *_row_norms(),
    *_local_response_norms(),
]
IDS = [f"{name}-{'x'.join(map(str, shape))}-{training}" for name, _, shape, training in VARIANTS]


def _prepared(variant: Variant) -> tuple[Any, np.ndarray[Any, np.dtype[np.float32]]]:
    """The layer with random parameters and statistics, and an input."""
    _, layer, shape, training = variant
    source = torch.Generator().manual_seed(7)
    x = torch.randn(shape, generator=source)
    if type(layer).__name__.startswith("Lazy"):
        layer.eval()(x)  # becomes the class that it stands for
    layer = copy.deepcopy(layer)
    if isinstance(layer, torch.nn.RMSNorm) and layer.eps is None:
        layer.eps = torch.finfo(torch.float32).eps  # that of the type it is used with
    with torch.no_grad():
        for name, value in (*layer.named_parameters(), *layer.named_buffers()):
            if value.dtype.is_floating_point:
                drawn = torch.rand(value.shape, generator=source) + 0.5
                value.copy_(drawn if name in {"weight", "running_var"} else drawn - 1)
    layer.train(training)
    return layer, x.numpy()


@pytest.mark.parametrize("opsets", OPSETS.values(), ids=OPSETS)
@pytest.mark.parametrize("variant", VARIANTS, ids=IDS)
def test_layers_are_met(variant: Variant, opsets: tuple[int, ...]) -> None:
    """By the reference in float64, and by every form at every opset in float32."""
    layer, x = _prepared(variant)
    call = CATALOGUE.from_layer(layer, ("N", *x.shape[1:]))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = copy.deepcopy(layer).double()(torch.from_numpy(x).double()).numpy()
    given = {**call.parameters, **call.attributes}
    assert np.allclose(call.norm.reference(x, **given), expected, rtol=1e-9, atol=1e-11)
    tried = set()
    for opset in opsets:
        for name in forms_at(call, opset):
            if name != FUNCTION and call.norm.form(name).domains == {"com.microsoft"}:
                continue  # without a kernel on CPUs
            (found,) = run(call.model(name, opset=opset), {"X": x})
            if np.abs(expected).max() < 1e-12:  # groups of one number
                assert not found.any()
            else:
                error = relative_error(found.astype(np.float64), expected, 2.0**-24)
                assert error <= LIMIT, (opset, name, error)
            tried.add(name)
    assert {"function"} < tried


def test_running_statistics_are_torchs() -> None:
    """In training the new running mean and unbiased variance are those that torch keeps."""
    for momentum in (0.1, 0.3, None):
        layer = torch.nn.BatchNorm2d(3, momentum=momentum).double().train()
        x = torch.randn(4, 3, 5, 6, dtype=torch.float64) * 2 + 1
        call = CATALOGUE.from_layer(layer, x.shape, "float64")
        given = {**call.parameters, **call.attributes}
        _, mean, var = call.norm.reference(x.numpy(), **given, outputs=3)
        layer(x)
        assert np.allclose(mean, layer.running_mean.numpy())
        assert np.allclose(var, layer.running_var.numpy())


def test_functional_normalize_is_met() -> None:
    """torch.nn.functional.normalize clamps the norm at 1e-12."""
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    x[0, 1] = 0
    x[1, 2] = 1e-14
    for p in (1.0, 2.0, 3.0):
        for dim in (0, 1, -1):
            expected = torch.nn.functional.normalize(x, p=p, dim=dim).numpy()
            found = CATALOGUE["normalize"].reference(x.numpy(), p=p, axis=dim, epsilon=1e-12)
            assert np.allclose(found, expected, rtol=1e-12, atol=0)


def test_every_class_of_torch_is_there() -> None:
    """A normalization layer that torch adds is noticed."""
    from torch.nn.modules import batchnorm, instancenorm, normalization

    public = {
        name
        for module in (batchnorm, instancenorm, normalization)
        for name in module.__all__
        if issubclass(getattr(torch.nn, name), torch.nn.Module)
    }
    assert public - {"CrossMapLRN2d"} == {name.partition("(")[0] for name, _, _, _ in VARIANTS}


def test_crossmap_lrn_is_no_local_response_norm() -> None:
    """The old layer takes one channel too few out of its window, so it is refused, not misread."""
    layer = torch.nn.CrossMapLRN2d(3, alpha=0.1)
    x = torch.randn(2, 7, 3, 4)
    right = CATALOGUE["LocalResponseNorm"].reference(x.numpy(), size=3, alpha=0.1)
    assert not np.allclose(right, layer(x).numpy(), rtol=1e-3)
    with pytest.raises(UsageError, match="CrossMapLRN2d is no normalization that is known"):
        CATALOGUE.from_layer(layer, x.shape)


def test_an_unknown_layer_is_refused() -> None:
    """The message lists what is known."""
    with pytest.raises(
        UsageError, match=r"Linear is no normalization that is known; these are: .*"
    ):
        CATALOGUE.from_layer(torch.nn.Linear(2, 2), (1, 2))


def test_a_subclass_that_computes_something_else_is_refused() -> None:
    """As torchvision's LayerNorm2d, which permutes before it normalizes; a mere name is no reason."""

    class LayerNorm2d(torch.nn.LayerNorm):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:  # noqa: ANN401  # a tensor
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    class Renamed(torch.nn.LayerNorm):  # type: ignore[misc, name-defined]
        pass

    with pytest.raises(UsageError, match="LayerNorm2d is no normalization that is known"):
        CATALOGUE.from_layer(LayerNorm2d(4), ("N", 4, 4, 4))
    assert CATALOGUE.from_layer(Renamed(4), ("N", 4, 4, 4)).norm.name == "LayerNorm"


def test_a_lazy_layer_is_called_first() -> None:
    """The message says what to do."""
    with pytest.raises(UsageError, match="LazyBatchNorm2d has no parameters yet; call it once"):
        CATALOGUE.from_layer(torch.nn.LazyBatchNorm2d(), ("N", 4, 4, 4))


def test_a_layer_of_another_width_is_refused() -> None:
    """At definition time, with both sizes."""
    nn = torch.nn
    for layer in (nn.BatchNorm2d(6), nn.BatchNorm2d(1), nn.GroupNorm(1, 6)):
        with pytest.raises(UsageError, match=r"is made for size [16] of axis 1; X has 5, shape"):
            CATALOGUE.from_layer(layer, ("N", 5, 2, 2))
    for layer in (nn.LayerNorm(1), nn.RMSNorm((1, 4)), nn.LayerNorm(3, elementwise_affine=False)):
        with pytest.raises(UsageError, match=r"is made for size \d of axis -\d; X has 2, shape"):
            CATALOGUE.from_layer(layer, ("N", 5, 2, 2))
    unused = nn.InstanceNorm2d(6)  # torch reads its num_features nowhere
    assert CATALOGUE.from_layer(unused, ("N", 5, 2, 2)).norm.name == "InstanceNorm"


def test_a_layer_of_another_rank_is_refused() -> None:
    """InstanceNorm2d takes (C, H, W) for one image; read as (N, C, L) it would be another function."""
    for layer in (torch.nn.InstanceNorm2d(4), torch.nn.BatchNorm2d(4)):
        with pytest.raises(
            UsageError, match=r"2d is given X of rank 3, .*; expected rank 4, the b"
        ):
            CATALOGUE.from_layer(layer, (4, 4, 3))
    with pytest.raises(UsageError, match=r"BatchNorm1d is given X of rank 4, .* 2 or 3"):
        CATALOGUE.from_layer(torch.nn.BatchNorm1d(4), (4, 4, 3, 2))


def test_tensors_are_taken_as_they_are() -> None:
    """With gradients, in bfloat16, and types by torch's names; the meta device holds no numbers."""
    x = torch.randn(2, 4, requires_grad=True)
    scale = torch.nn.Parameter(torch.rand(4))
    found = CATALOGUE["LayerNorm"].reference(x, scale)
    expected = torch.nn.functional.layer_norm(x.double(), (4,), scale.double())
    assert np.allclose(found, expected.detach().numpy())
    CATALOGUE["LayerNorm"].reference(x.detach().bfloat16())
    assert CATALOGUE.from_layer(torch.nn.LayerNorm(4), (2, 4), torch.float16).dtype == "float16"
    with pytest.raises(UsageError, match="on the meta device, so it has no numbers"):
        CATALOGUE.from_layer(torch.nn.LayerNorm(4, device="meta"), (2, 4))
    with pytest.raises(UsageError, match="expected float16, bfloat16, float32 or float64"):
        CATALOGUE.from_layer(torch.nn.LayerNorm(4).to(torch.float8_e4m3fn), (2, 4))
