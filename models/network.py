"""What a reference network is, and how one is put together; `models.weights` draws its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from models.layers import BATCH_NORMS, NORMS
from models.weights import Array, calibrate, draw_weights

Size = Literal["test", "full"]
Draw = Callable[[np.random.Generator, int], Mapping[str, Array]]


@dataclass(frozen=True, slots=True)
class Network:
    """A torch module in eval mode, with what an exporter has to know.

    Attributes:
        name: Key in `models.NETWORKS`.
        module: The network; takes the tensors of `inputs` in order, by position.
        inputs: Example inputs by name; their sizes on dynamic axes are above 1.
        outputs: Names of the outputs.
        dynamic: Input or output name to axis to the name of the dynamic dimension.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...] = ("output",)
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @property
    def batch_norms(self) -> int:
        """Number of BatchNorm modules."""
        return sum(isinstance(m, BATCH_NORMS) for m in self.module.modules())

    @property
    def norms(self) -> Mapping[str, int]:
        """Number of normalization modules by kind, a key of `NORMS`; only kinds that occur."""
        modules = list(self.module.modules())
        counts = {kind: sum(isinstance(m, types) for m in modules) for kind, types in NORMS.items()}
        return {kind: count for kind, count in counts.items() if count}

    @property
    def parameters(self) -> int:
        """Number of trainable parameters, as papers and model zoos count them."""
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)


@dataclass(frozen=True, slots=True)
class Interface:
    """What goes into a network, and what comes out.

    Attributes:
        draw: Makes a batch of the given size of all inputs, by name, in the module's order.
        output: Name of the only output.
        dynamic: As in `Network`; the batch axis of all inputs and of the output if None.
    """

    draw: Draw
    output: str = "output"
    dynamic: Mapping[str, Mapping[int, str]] | None = None


def assemble(
    name: str,
    module: Callable[[], nn.Module],
    interface: tuple[int, ...] | Interface,
    *,
    seed: int,
    calibration_batch: int = 4,
) -> Network:
    """Build a network: draw its weights, calibrate its BatchNorms, describe it.

    Args:
        name: Key in `models.NETWORKS`.
        module: Makes the module.
        interface: Inputs and output; or the shape of one example, without the batch axis, of an
            "input" that is N(0, 1) and makes an "output".
        seed: Seed of everything that is drawn.
        calibration_batch: Batch size that the statistics are taken from.

    Returns:
        The network in eval mode and float32; so are its example inputs unless they are integers.
    """
    if isinstance(interface, tuple):
        interface = Interface(normal(*interface))
    rng = np.random.default_rng(seed)
    with seeded(seed):
        net = module()
    draw_weights(net, rng)
    calibrate(net, *interface.draw(rng, calibration_batch).values(), rng=rng)
    inputs = {key: _single(torch.from_numpy(x)) for key, x in interface.draw(rng, 2).items()}
    dynamic = interface.dynamic
    if dynamic is None:
        dynamic = {key: {0: "batch"} for key in (*inputs, interface.output)}
    return Network(name, net, inputs, outputs=(interface.output,), dynamic=dynamic)


def normal(*shape: int) -> Draw:
    """One "input", N(0, 1), whose examples have the given shape."""

    def draw(rng: np.random.Generator, batch: int) -> Mapping[str, Array]:
        return {"input": rng.standard_normal((batch, *shape))}

    return draw


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from `seed` inside the block, and leave the outside alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _single(x: Tensor) -> Tensor:
    return x.float() if x.is_floating_point() else x
