"""Two ways to see a normalization, one checked against the other.

A call that was caught says what it is by itself. The same call can also be left to torch's own
exporter, which takes it apart, and be recognised there by what is proven of each value. Both must
say the same: the norm, its numbers, and which parameter is which. One export of all kinds of calls
of a module, each on its own small input, tells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from normonnx.catalogue.call import NormCall
from normonnx.core.errors import NormonnxError, UsageError
from normonnx.exporting import tracing
from normonnx.exporting.capturing import Site, defined
from normonnx.recognize.finding import find

_SIZES: Final = (2, 5, 3, 7, 4)  # of axes that no parameter runs along
_CLOSE: Final = 1e-6  # attributes are float32
_CHANNELS: Final = frozenset(
    ["BatchNorm", "BatchNormTraining", "GroupNorm", "InstanceNorm", "LocalResponseNorm"]
)
_ONE: Final = "LpNorm"


@dataclass(frozen=True, slots=True, eq=False)
class _Witness:
    """One kind of call: what was read of it, and how to make it again."""

    site: Site
    call: NormCall
    x: Tensor
    parameters: Mapping[str, Tensor]


def check_against_torch(sites: Sequence[Site], notes: list[str]) -> int:
    """Hold what was read of calls against what is recognised in torch's own translation.

    Args:
        sites: What was caught.
        notes: Gets a sentence for each kind of which nothing was recognised.

    Returns:
        How many kinds were seen both ways, and alike.

    Raises:
        UsageError: They are seen differently.
    """
    witnesses = [_witness(site) for site in _kinds(sites)]
    if not witnesses:
        return 0
    try:
        models = _translated(witnesses)
    except NormonnxError as error:
        notes.append(f"calls were not held against torch's own translation: {error}")
        return 0
    agreed = 0
    for number, witness in enumerate(witnesses):
        seen = models.get(f"y{number}")
        if seen is None:
            notes.append(
                f"{witness.site.function} of shape {witness.site.shape} was read as "
                f"{witness.site.norm}; nothing is recognised in torch's own translation of it"
            )
            continue
        difference = _difference(witness.call, seen)
        if difference:
            message = (
                f"{witness.site.function} of shape {witness.site.shape} was read as "
                f"{witness.site.norm}, but in torch's own translation {difference}; this is a bug "
                "of normonnx, export without that call and report it"
            )
            raise UsageError(message)
        agreed += 1
    return agreed


def _kinds(sites: Sequence[Site]) -> list[Site]:
    """One of each kind of calls, on a small input."""
    small = [_small(site) for site in sites]
    return list({site.key: site for site in small}.values())


def _small(site: Site) -> Site:
    """The same call on as few numbers as its parameters and attributes allow."""
    rank = len(site.shape)
    kept: set[int] = set()
    if site.norm in _CHANNELS:
        kept = {1}
    elif "axis" in site.attributes and site.norm != _ONE:
        axis = int(site.attributes["axis"]) % rank  # type: ignore[arg-type]
        kept = set(range(axis, rank))
    shape = [
        size if axis in kept and size is not None else _SIZES[axis % len(_SIZES)]
        for axis, size in enumerate(site.shape)
    ]
    return replace(site, shape=tuple(shape), dtype="float32")


def _witness(site: Site) -> _Witness:
    sizes = tuple(size or 1 for size in site.shape)
    source = np.random.default_rng(math.prod(sizes))
    arrays = {
        name: source.uniform(0.5, 2.0, shape).astype(np.float32)
        for name, shape in site.shapes.items()
    }
    x = torch.from_numpy(source.standard_normal(sizes).astype(np.float32))
    parameters = {name: torch.from_numpy(array) for name, array in arrays.items()}
    return _Witness(site, defined(site, **arrays), x, parameters)


class _Calls(nn.Module):
    """All kinds of calls, each of an input of its own."""

    def __init__(self, witnesses: Sequence[_Witness]) -> None:
        super().__init__()
        self._witnesses = witnesses
        for number, witness in enumerate(witnesses):
            for name, value in witness.parameters.items():
                self.register_buffer(f"{name}{number}", value)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """One result for each input."""
        found = []
        for number, (witness, x) in enumerate(zip(self._witnesses, inputs, strict=True)):
            given = {name: getattr(self, f"{name}{number}") for name in witness.parameters}
            found.append(_again(witness.site, x, given))
        return tuple(found)


def _again(site: Site, x: Tensor, given: Mapping[str, Tensor]) -> Tensor:
    """The call as torch.nn.functional has it."""
    functional = torch.nn.functional
    known = dict(site.attributes)
    scale, bias = given.get("scale"), given.get("bias")
    epsilon: Any = known.get("epsilon")
    if site.norm in ("LayerNorm", "RMSNorm"):
        shape = list(x.shape[int(known["axis"]) :])  # type: ignore[arg-type]
        if site.norm == "RMSNorm":
            return functional.rms_norm(x, shape, scale, epsilon)
        return functional.layer_norm(x, shape, scale, bias, epsilon)
    if site.norm == "GroupNorm":
        return functional.group_norm(x, int(known["num_groups"]), scale, bias, epsilon)  # type: ignore[arg-type]
    if site.norm == "InstanceNorm":
        return functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)
    if site.norm == "LocalResponseNorm":
        size, alpha, beta, k = (known[name] for name in ("size", "alpha", "beta", "bias"))
        return functional.local_response_norm(x, size, alpha, beta, k)  # type: ignore[arg-type]
    if site.norm == "LpNorm":
        return functional.normalize(x, known["p"], int(known["axis"]), epsilon)  # type: ignore[arg-type]
    training = site.norm == "BatchNormTraining"
    mean, var = given.get("mean"), given.get("var")
    return functional.batch_norm(x, mean, var, scale, bias, training, eps=epsilon)


def _translated(witnesses: Sequence[_Witness]) -> dict[str, NormCall]:
    """What is recognised in torch's own translation, by the name of the output."""
    module = _Calls(witnesses).eval()
    inputs = tuple(witness.x for witness in witnesses)
    program = tracing.traced(module, inputs, {}, None, None)
    model = tracing.optimized(tracing.written(program, module))
    for number, value in enumerate(model.graph.outputs):
        value.name = f"y{number}"
    found = find(model)
    outputs = {id(value): value.name or "" for value in model.graph.outputs}
    return {outputs[id(one.output)]: one.call for one in found.norms if id(one.output) in outputs}


def _difference(read: NormCall, seen: NormCall) -> str:
    """How two uses differ; empty where they don't."""
    if read.norm is not seen.norm:
        return f"a {seen.norm.name} is recognised"
    for name, ours in read.attributes.items():
        if name in ("stash_type", "momentum", "ddof", "torch_window"):
            continue
        theirs = seen.attributes[name]
        if not _same(ours, theirs, len(read.shape) if name == "axis" else 0):
            return f"{name} is {theirs} and not {ours}"
    for name, value in read.parameters.items():
        other = seen.parameters[name]
        if isinstance(value, tuple) or isinstance(other, tuple):
            continue
        if not np.allclose(_full(value), _full(other), rtol=1e-5, atol=1e-6):
            return f"its {name} has other numbers"
    return ""


def _full(value: Any) -> Any:  # noqa: ANN401
    array = np.asarray(value, np.float64)
    return array.reshape(-1) if array.size > 1 else array.reshape(())


def _same(one: Any, other: Any, rank: int) -> bool:  # noqa: ANN401
    if rank:
        return int(one) % rank == int(other) % rank
    if isinstance(one, tuple) or isinstance(other, tuple):
        return tuple(one) == tuple(other)
    return math.isclose(float(one), float(other), rel_tol=_CLOSE, abs_tol=0.0)
