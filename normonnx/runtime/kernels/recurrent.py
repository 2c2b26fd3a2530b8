"""RNN, GRU and LSTM in float64 (ONNX operator specification, versions 7 to 22).

onnx's reference knows neither other activations, nor clip, input_forget and sequence lengths: it
ignores them, silently. Per step, with gates stacked along the rows of W and R, and bias Wb + Rb:

    RNN   H = f(x W' + h R' + Wb + Rb)
    GRU   z, r = f(...), n = g(x Wn' + Wbn + r*(h Rn' + Rbn)) or (r*h) Rn', H = (1 - z) n + z h
    LSTM  i, o, f, c with peepholes P; C = f C + i c; H = o h(C)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from normonnx.core.errors import UnsupportedOperatorError
from normonnx.runtime.invocation import Array, Inputs, Invocation, Kernel
from normonnx.runtime.kernels.elementwise import sigmoid

Activation = Callable[[Array], Array]
_ACTIVATIONS: Final[dict[str, Activation]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": sigmoid,
    "softplus": lambda x: np.logaddexp(x, 0.0),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
}
_DEFAULTS: Final = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
_GATES: Final = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass(frozen=True, slots=True, eq=False)
class _Direction:
    """Weights of one direction: w [gates*H, I], r [gates*H, H], the two biases, peepholes."""

    w: Array
    r: Array
    input_bias: Array
    hidden_bias: Array
    peepholes: Array
    activations: tuple[Activation, ...]
    clip: float
    backward: bool


_Step = Callable[[Invocation, _Direction, Array, Array, Array], tuple[Array, Array]]


def _rnn_step(
    _call: Invocation, one: _Direction, x: Array, h: Array, c: Array
) -> tuple[Array, Array]:
    total = x @ one.w.T + h @ one.r.T + one.input_bias + one.hidden_bias
    return one.activations[0](_clipped(total, one.clip)), c


def _gru_step(
    call: Invocation, one: _Direction, x: Array, h: Array, c: Array
) -> tuple[Array, Array]:
    f, g = one.activations
    hidden = h.shape[-1]
    given = x @ one.w.T + one.input_bias
    gates = given[:, : 2 * hidden] + h @ one.r[: 2 * hidden].T + one.hidden_bias[: 2 * hidden]
    z, r = np.split(f(_clipped(gates, one.clip)), 2, axis=-1)
    rows, bias = one.r[2 * hidden :], one.hidden_bias[2 * hidden :]
    if call.int("linear_before_reset", 0):
        remembered = r * (h @ rows.T + bias)
    else:
        remembered = (r * h) @ rows.T + bias
    n = g(_clipped(given[:, 2 * hidden :] + remembered, one.clip))
    return (1 - z) * n + z * h, c


def _lstm_step(
    call: Invocation, one: _Direction, x: Array, h: Array, c: Array
) -> tuple[Array, Array]:
    f, g, out = one.activations
    peep_i, peep_o, peep_f = np.split(one.peepholes, 3)
    total = x @ one.w.T + h @ one.r.T + one.input_bias + one.hidden_bias
    i, o, forget, cell = np.split(total, 4, axis=-1)
    i = f(_clipped(i + peep_i * c, one.clip))
    coupled = call.int("input_forget", 0) != 0
    forget = 1 - i if coupled else f(_clipped(forget + peep_f * c, one.clip))
    following = forget * c + i * g(_clipped(cell, one.clip))
    o = f(_clipped(o + peep_o * following, one.clip))
    return o * out(following), following


_STEPS: Final[dict[str, _Step]] = {"RNN": _rnn_step, "GRU": _gru_step, "LSTM": _lstm_step}


def _clipped(x: Array, limit: float) -> Array:
    return np.clip(x, -limit, limit) if limit > 0 else x


def recurrent(call: Invocation, inputs: Inputs) -> tuple[Any, ...]:
    """Y [T, D, N, H], Y_h [D, N, H] and, of an LSTM, Y_c; with layout 1 the batch comes first."""
    given = [*inputs, *[None] * (8 - len(inputs))]
    batch_first = call.int("layout", 0) != 0
    x = np.swapaxes(given[0], 0, 1) if batch_first else given[0]
    directions, hidden = given[1].shape[0], given[2].shape[-1]
    start = (directions, x.shape[1], hidden)
    h = _state(given[5], start, batch_first=batch_first)
    c = _state(given[6], start, batch_first=batch_first)
    lengths = np.full(x.shape[1], x.shape[0]) if given[4] is None else given[4]
    found = [
        _run(call, _direction(call, given, number), (x, h[number], c[number], lengths))
        for number in range(directions)
    ]
    y = np.stack([one[0] for one in found], axis=1)
    last, cell = (np.stack([one[state] for one in found]) for state in (1, 2))
    if batch_first:
        y, last, cell = y.transpose(2, 0, 1, 3), last.swapaxes(0, 1), cell.swapaxes(0, 1)
    return (y, last, cell)[: call.outputs]


def _state(given: Array | None, shape: tuple[int, ...], *, batch_first: bool) -> Array:
    if given is None:
        return np.zeros(shape)
    state = np.swapaxes(given, 0, 1) if batch_first else given
    if state.shape != shape:  # numpy would broadcast it
        message = f"the initial state has shape {list(state.shape)}, expected {list(shape)}"
        raise ValueError(message)
    return state


def _direction(call: Invocation, given: Sequence[Any], number: int) -> _Direction:
    kind = call.node.op_type
    gates, hidden = _GATES[kind], given[2].shape[-1]
    bias = np.zeros(2 * gates * hidden) if given[3] is None else given[3][number]
    peepholes = np.zeros(3 * hidden) if given[7] is None else given[7][number]
    input_bias, hidden_bias = np.split(bias, 2)
    return _Direction(
        given[1][number],
        given[2][number],
        input_bias,
        hidden_bias,
        peepholes,
        _activations(call, number),
        call.float("clip", 0.0),
        backward=number == 1 or call.text("direction", "forward") == "reverse",
    )


def _activations(call: Invocation, number: int) -> tuple[Activation, ...]:
    defaults = _DEFAULTS[call.node.op_type]
    names = list(defaults)
    if "activations" in call.attributes:
        every = list(call.attributes["activations"].as_strings())
        names = every[number * len(defaults) : (number + 1) * len(defaults)]
    unknown = [name for name in names if name.lower() not in _ACTIVATIONS]
    if unknown:
        message = (
            f"the oracle can't evaluate {call.node.op_type} (node {call.node.name!r}) "
            f"with the activation {unknown[0]!r}"
        )
        raise UnsupportedOperatorError(message)
    return tuple(_ACTIVATIONS[name.lower()] for name in names)


def _run(
    call: Invocation, one: _Direction, given: tuple[Array, Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """One direction over time; where a sequence has ended its state stays and its output is 0."""
    x, h, c, lengths = given
    step = _STEPS[call.node.op_type]
    y = np.zeros((x.shape[0], *h.shape))
    times = range(x.shape[0])
    for time in reversed(times) if one.backward else times:
        running = (time < lengths)[:, None]
        following, cell = step(call, one, x[time], h, c)
        h, c = np.where(running, following, h), np.where(running, cell, c)
        y[time] = np.where(running, following, 0.0)
    return y, h, c


RECURRENCES: dict[str, Kernel] = dict.fromkeys(_STEPS, recurrent)
