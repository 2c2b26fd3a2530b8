"""Kernels of the oracle against the formula written out, torch, or ONNX Runtime."""

# ruff: noqa: ANN401  # arrays and attributes of every type

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.kernels import convolution
from normonnx.runtime.kernels.elementwise import erf, sigmoid
from normonnx.runtime.oracle import evaluate

Array = npt.NDArray[Any]
rng = np.random.default_rng(0)


def _call(
    op_type: str,
    inputs: list[Array | None],
    *,
    opset: int = 17,
    outputs: int = 1,
    **attributes: Any,
) -> list[Array]:
    """One node evaluated by the oracle; `domain` may be among the attributes."""
    domain = attributes.pop("domain", "")
    names = [f"i{k}" if x is not None else "" for k, x in enumerate(inputs)]
    results = [f"o{k}" for k in range(outputs)]
    node = onnx.helper.make_node(op_type, names, results, domain=domain, **attributes)
    feeds = {f"i{k}": np.asarray(x) for k, x in enumerate(inputs) if x is not None}
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [
            onnx.helper.make_tensor_value_info(
                name, onnx.helper.np_dtype_to_tensor_dtype(x.dtype), x.shape
            )
            for name, x in feeds.items()
        ],
        [onnx.helper.make_tensor_value_info(name, 1, None) for name in results],
    )
    opsets = [onnx.helper.make_opsetid("", opset), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    return list(evaluate(ir.from_proto(model), feeds).values())


def _draw(*shape: int) -> Array:
    return rng.standard_normal(shape)


def _torch(array: Array) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(array))


CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 7), (4, 3, 3), {"pads": [1, 2], "strides": [2]}),
    ((2, 4, 6, 7), (6, 2, 3, 2), {"group": 2, "dilations": [2, 1], "pads": [1, 0, 2, 1]}),
    ((1, 4, 6, 6), (8, 1, 3, 3), {"group": 4, "strides": [1, 2]}),
    ((2, 3, 5, 5), (4, 3, 1, 1), {"strides": [2, 2]}),
    ((1, 2, 4, 5, 6), (3, 2, 2, 3, 2), {"pads": [0, 1, 1, 1, 0, 0], "strides": [1, 2, 1]}),
]


@pytest.mark.parametrize(("x_shape", "w_shape", "attributes"), CONVOLUTIONS)
@pytest.mark.parametrize("limit", [1 << 26, 1])
def test_conv_is_its_definition(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    attributes: dict[str, Any],
    limit: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Conv 1d to 3d, grouped, depthwise, dilated, padded unevenly; whole or in slices."""
    monkeypatch.setattr(convolution, "_UNROLLED_BYTES", limit)
    x, w, b = _draw(*x_shape), _draw(*w_shape), _draw(w_shape[0])
    (found,) = _call("Conv", [x, w, b], **attributes)
    np.testing.assert_allclose(found, _conv(x, w, b, attributes), rtol=1e-12, atol=1e-12)


def _conv(x: Array, w: Array, b: Array, attributes: Mapping[str, Any]) -> Array:
    """Convolution written out, one output element at a time."""
    count = x.ndim - 2
    pads = attributes.get("pads", [0] * 2 * count)
    strides = attributes.get("strides", [1] * count)
    dilations = attributes.get("dilations", [1] * count)
    group = attributes.get("group", 1)
    padded = np.pad(x, [(0, 0), (0, 0), *zip(pads[:count], pads[count:], strict=True)])
    sizes = [
        (padded.shape[2 + a] - (w.shape[2 + a] - 1) * dilations[a] - 1) // strides[a] + 1
        for a in range(count)
    ]
    y = np.empty((x.shape[0], w.shape[0], *sizes))
    per_group, rows = w.shape[1], w.shape[0] // group
    for place in np.ndindex(*y.shape):
        n, m, *at = place
        first = m // rows * per_group
        total = b[m]
        for c, *offset in itertools.product(range(per_group), *map(range, w.shape[2:])):
            position = [at[a] * strides[a] + offset[a] * dilations[a] for a in range(count)]
            total += w[(m, c, *offset)] * padded[(n, first + c, *position)]
        y[place] = total
    return y


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "ours", "theirs"),
    [
        ((2, 3, 5), (3, 4, 3), {}, {}),
        (
            (2, 4, 5, 6),
            (4, 3, 3, 2),
            {"group": 2, "strides": [2, 3]},
            {"groups": 2, "stride": (2, 3)},
        ),
        (
            (1, 2, 4, 4),
            (2, 3, 3, 3),
            {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]},
            {"stride": 2, "padding": 1, "output_padding": 1},
        ),
        ((1, 2, 5, 4), (2, 2, 2, 3), {"dilations": [2, 3]}, {"dilation": (2, 3)}),
        ((1, 2, 3, 4, 3), (2, 2, 2, 3, 2), {"strides": [1, 2, 2]}, {"stride": (1, 2, 2)}),
    ],
    ids=["1d", "grouped", "output padding", "dilated", "3d"],
)
def test_conv_transpose_agrees_with_torch(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    ours: dict[str, Any],
    theirs: dict[str, Any],
) -> None:
    """torch.nn.functional.conv_transpose*d in float64."""
    import torch

    x, w = _draw(*x_shape), _draw(*w_shape)
    b = _draw(w_shape[1] * ours.get("group", 1))
    function = getattr(torch.nn.functional, f"conv_transpose{x.ndim - 2}d")
    expected = function(_torch(x), _torch(w), _torch(b), **theirs).numpy()
    (found,) = _call("ConvTranspose", [x, w, b], **ours)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("mode", "begins"), [("SAME_UPPER", 0), ("SAME_LOWER", 1), (None, 1)])
def test_conv_transpose_crops_to_a_given_shape(mode: str | None, begins: int) -> None:
    """output_shape: the odd element is cut at the end for SAME_UPPER, else at the beginning."""
    x, w = _draw(1, 1, 4), _draw(1, 1, 3)
    (full,) = _call("ConvTranspose", [x, w])
    attributes: dict[str, Any] = {"auto_pad": mode} if mode else {}
    (found,) = _call("ConvTranspose", [x, w], output_shape=[5], **attributes)
    np.testing.assert_allclose(found, full[..., begins : begins + 5])


@pytest.mark.parametrize("opset", [7, 9, 14, 15])
def test_batch_normalization_uses_the_running_statistics(opset: int) -> None:
    """At every version, with the epsilon left to its default of 1e-5."""
    x, scale, bias, mean = _draw(2, 3, 4, 4), _draw(3), _draw(3), _draw(3)
    var = np.abs(_draw(3)) * 1e-5
    (found,) = _call("BatchNormalization", [x, scale, bias, mean, var], opset=opset)
    along = (1, 3, 1, 1)
    expected = scale.reshape(along) * (x - mean.reshape(along))
    expected = expected / np.sqrt(var + np.float32(1e-5)).reshape(along) + bias.reshape(along)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_batch_normalization_7_may_be_per_activation() -> None:
    """spatial=0: statistics of shape [C, H, W]."""
    x, rest = _draw(2, 3, 4, 5), [_draw(3, 4, 5) for _ in range(3)]
    var = np.abs(_draw(3, 4, 5))
    (found,) = _call("BatchNormalization", [x, *rest, var], opset=7, spatial=0)
    scale, bias, mean = rest
    expected = scale * (x - mean) / np.sqrt(var + np.float32(1e-5)) + bias
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_batch_normalization_in_training_uses_the_batch() -> None:
    """Batch statistics, population variance, and running statistics that move."""
    x, scale, bias = _draw(4, 3, 5), _draw(3), _draw(3)
    mean, var = np.zeros(3), np.ones(3)
    inputs: list[Array | None] = [x, scale, bias, mean, var]
    y, new_mean, new_var = _call(
        "BatchNormalization", inputs, outputs=3, training_mode=1, momentum=0.75
    )
    centered = x - x.mean((0, 2), keepdims=True)
    spread = x.var((0, 2), keepdims=True)
    expected = centered / np.sqrt(spread + np.float32(1e-5)) * scale[:, None] + bias[:, None]
    np.testing.assert_allclose(y, expected, rtol=1e-10)
    np.testing.assert_allclose(new_mean, 0.25 * x.mean((0, 2)))
    np.testing.assert_allclose(new_var, 0.75 + 0.25 * x.var((0, 2)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_lrn_sums_its_window_in_every_sample(size: int) -> None:
    """Also beyond the first sample of a batch, and with the window's odd end above."""
    x = _draw(3, 7, 2, 2)
    (found,) = _call("LRN", [x], size=size, alpha=0.5, beta=0.75, bias=2.0)
    for n, c in itertools.product(range(3), range(7)):
        low, high = max(0, c - (size - 1) // 2), min(6, c + -(-(size - 1) // 2))
        total = np.sum(x[n, low : high + 1] ** 2, axis=0)
        expected = x[n, c] / (2 + 0.5 / size * total) ** 0.75
        np.testing.assert_allclose(found[n, c], expected, rtol=1e-12)


@pytest.mark.parametrize(("opset", "entries"), [(18, 2), (21, 6)])
def test_group_normalization_scales_per_group_then_per_channel(opset: int, entries: int) -> None:
    """Version 18 has one scale a group, version 21 one a channel."""
    x, scale, bias = _draw(2, 6, 4), _draw(entries), _draw(entries)
    inputs: list[Array | None] = [x, scale, bias]
    (found,) = _call("GroupNormalization", inputs, opset=opset, num_groups=2)
    split = x.reshape(2, 2, 12)
    normal = (split - split.mean(-1, keepdims=True)) / np.sqrt(
        split.var(-1, keepdims=True) + np.float32(1e-5)
    )
    repeat = 6 // entries
    expected = normal.reshape(x.shape) * np.repeat(scale, repeat)[:, None]
    expected = expected + np.repeat(bias, repeat)[:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("op_type", ["InstanceNormalization", "LayerNormalization"])
def test_normalizations_keep_their_digits_at_a_large_mean(op_type: str) -> None:
    """A shift by 2**20 changes nothing: centered before squaring."""
    x = np.rint(_draw(2, 3, 50) * 1024) / 1024
    count = 3 if op_type[0] == "I" else 50
    parameters: list[Array | None] = [_draw(count), _draw(count)]
    (near,) = _call(op_type, [x, *parameters])
    (far,) = _call(op_type, [x + 2.0**20, *parameters])
    np.testing.assert_allclose(far, near, rtol=1e-8, atol=1e-9)


def test_gather_elements_takes_fewer_indices_than_entries() -> None:
    """Indices [1, 64] into [1, 512], negative ones among them."""
    x, indices = _draw(1, 512), rng.integers(-512, 512, (1, 64))
    (found,) = _call("GatherElements", [x, indices], axis=1)
    np.testing.assert_array_equal(found, x[:, indices[0]])


def test_scatter_is_scatter_elements() -> None:
    """The old name, opset 9 and 10."""
    x, indices, updates = np.zeros((2, 3)), np.asarray([[0, -1]]), np.asarray([[5.0, 7.0]])
    (found,) = _call("Scatter", [x, indices, updates], opset=9, axis=1)
    assert found.tolist() == [[5, 0, 7], [0, 0, 0]]


def test_gemm_without_a_beta_ignores_c() -> None:
    """beta = 0 drops C, even where it is NaN."""
    a, b = _draw(2, 3), _draw(4, 3)
    inputs: list[Array | None] = [a, b, np.full(4, np.nan)]
    (found,) = _call("Gemm", inputs, alpha=0.5, beta=0.0, transB=1)
    np.testing.assert_allclose(found, 0.5 * a @ b.T)


def test_dequantizing_is_exact() -> None:
    """An int32 bias has more digits than float32."""
    x = np.asarray([2**30 + 1, -(2**30) - 3], np.int32)
    (found,) = _call("DequantizeLinear", [x, np.asarray(0.5, np.float32)])
    assert found.tolist() == [2**29 + 0.5, -(2**29) - 1.5]


def test_erf_and_sigmoid_are_right_to_the_last_digits() -> None:
    """Against the C library, and where a naive formula overflows."""
    import math

    x = np.linspace(-7, 7, 1001)
    np.testing.assert_allclose(erf(x), [math.erf(v) for v in x], rtol=4e-15, atol=1e-16)
    assert np.isnan(erf(np.asarray([np.nan]))).all()
    assert sigmoid(np.asarray([-1000.0, 0.0, 1000.0])).tolist() == [0, 0.5, 1]


def _recurrent_weights(kind: str, directions: int) -> tuple[Any, list[Array | None]]:
    """A torch module, and its weights in ONNX's order of gates."""
    import torch

    module = getattr(torch.nn, kind)(3, 5, bidirectional=directions == 2).double()
    order = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}[kind]

    def stacked(name: str) -> Array:
        rows = []
        for suffix in ("", "_reverse")[:directions]:
            gates = np.split(getattr(module, f"{name}_l0{suffix}").detach().numpy(), len(order))
            rows.append(np.concatenate([gates[i] for i in order]))
        return np.stack(rows)

    bias = np.concatenate([stacked("bias_ih"), stacked("bias_hh")], axis=-1)
    return module, [stacked("weight_ih"), stacked("weight_hh"), bias]


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("directions", [1, 2])
def test_recurrent_networks_agree_with_torch(kind: str, directions: int) -> None:
    """One direction and both, all outputs, in float64."""
    import torch

    torch.manual_seed(0)
    module, weights = _recurrent_weights(kind, directions)
    x = _draw(6, 2, 3)
    attributes: dict[str, Any] = {"hidden_size": 5}
    if kind == "GRU":
        attributes["linear_before_reset"] = 1
    if directions == 2:
        attributes["direction"] = "bidirectional"
    found = _call(kind, [x, *weights], outputs=3 if kind == "LSTM" else 2, **attributes)
    with torch.no_grad():
        y, state = module(_torch(x))
    states = state if kind == "LSTM" else (state,)
    expected = y.reshape(6, 2, directions, 5).permute(0, 2, 1, 3).numpy()
    np.testing.assert_allclose(found[0], expected, rtol=1e-12, atol=1e-14)
    for ours, theirs in zip(found[1:], states, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-14)


def test_a_sequence_that_ends_early_keeps_its_state() -> None:
    """sequence_lens: outputs beyond are 0, the last state is that of the last step."""
    x, w, r = _draw(4, 2, 3), _draw(1, 20, 3), _draw(1, 20, 5)
    lengths = np.asarray([2, 4], np.int32)
    y, last, _ = _call("LSTM", [x, w, r, None, lengths], outputs=3, hidden_size=5)
    short, short_last, _ = _call("LSTM", [x[:2, :1], w, r], outputs=3, hidden_size=5)
    np.testing.assert_allclose(y[:2, :, :1], short)
    np.testing.assert_allclose(last[:, :1], short_last)
    assert not y[2:, :, 0].any()


def test_activations_and_clip_are_not_ignored() -> None:
    """A clipped RNN of Relus by hand; one of an unknown activation is refused."""
    x, w, r = np.asarray([[[1.0]], [[-9.0]]]), np.full((1, 1, 1), 3.0), np.full((1, 1, 1), 2.0)
    y, _ = _call("RNN", [x, w, r], outputs=2, hidden_size=1, activations=["Relu"], clip=2.5)
    assert y.reshape(-1).tolist() == [2.5, 0]
    with pytest.raises(UnsupportedOperatorError, match="Elu"):
        _call("RNN", [x, w, r], outputs=2, hidden_size=1, activations=["Elu"])


CONTRIB: list[tuple[str, list[Array], int, dict[str, Any]]] = [
    ("BiasGelu", [_draw(2, 6), _draw(6)], 1, {}),
    ("FastGelu", [_draw(2, 6), _draw(6)], 1, {}),
    ("Gelu", [_draw(2, 6)], 1, {}),
    ("QuickGelu", [_draw(2, 6)], 1, {"alpha": 1.5}),
    ("FusedMatMul", [_draw(2, 4, 3), _draw(2, 5, 4)], 1, {"transA": 1, "transB": 1, "alpha": 0.5}),
    ("SkipLayerNormalization", [_draw(1, 2, 6), _draw(1, 2, 6), _draw(6), _draw(6)], 1, {}),
    (
        "SkipLayerNormalization",
        [_draw(1, 2, 6), _draw(1, 2, 6), _draw(6), _draw(6), _draw(6)],
        1,
        {"epsilon": 0.5},
    ),
    (
        "SkipSimplifiedLayerNormalization",
        [_draw(1, 2, 6), _draw(1, 2, 6), _draw(6)],
        1,
        {"epsilon": 0.5},
    ),
]


@pytest.mark.parametrize(("op_type", "inputs", "outputs", "attributes"), CONTRIB)
def test_contrib_operators_agree_with_onnxruntime(
    op_type: str, inputs: list[Array], outputs: int, attributes: dict[str, Any]
) -> None:
    """What ONNX Runtime computes in float32, to float32's precision."""
    import onnxruntime

    arrays = [x.astype(np.float32) for x in inputs]
    names = [f"i{k}" for k in range(len(arrays))]
    node = onnx.helper.make_node(op_type, names, ["y"], domain="com.microsoft", **attributes)
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [
            onnx.helper.make_tensor_value_info(n, 1, x.shape)
            for n, x in zip(names, arrays, strict=True)
        ],
        [onnx.helper.make_tensor_value_info("y", 1, None)],
    )
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, dict(zip(names, arrays, strict=True)))
    given: list[Array | None] = [*arrays]
    found = _call(op_type, given, outputs=outputs, domain="com.microsoft", **attributes)[0]
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("channels_last", [0, 1])
def test_contrib_group_norm_agrees_with_torch(channels_last: int) -> None:
    """Both layouts, with Swish as the activation; no CPU kernel of ONNX Runtime has it."""
    import torch

    x, scale, bias = _draw(2, 6, 3, 4), _draw(6), _draw(6)
    y = torch.nn.functional.group_norm(_torch(x), 3, _torch(scale), _torch(bias), 1e-5)
    expected = torch.nn.functional.silu(y).numpy()
    given = np.moveaxis(x, 1, -1) if channels_last else x
    (found,) = _call(
        "GroupNorm",
        [given, scale, bias],
        domain="com.microsoft",
        groups=3,
        activation=1,
        channels_last=channels_last,
    )
    found = np.moveaxis(found, -1, 1) if channels_last else found
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


def test_contrib_skip_group_norm_adds_a_row_per_sample() -> None:
    """A skip of shape [N, C] is added at every place; the sum is the second output."""
    x, skip, bias = _draw(2, 3, 4, 6), _draw(2, 6), _draw(6)
    scale, shift = _draw(6), _draw(6)
    y, total = _call(
        "SkipGroupNorm",
        [x, scale, shift, skip, bias],
        outputs=2,
        domain="com.microsoft",
        groups=2,
        activation=0,
    )
    np.testing.assert_allclose(total, x + skip[:, None, None] + bias)
    inputs: list[Array | None] = [total, scale, shift]
    (expected,) = _call("GroupNorm", inputs, domain="com.microsoft", groups=2, activation=0)
    np.testing.assert_allclose(y, expected)
