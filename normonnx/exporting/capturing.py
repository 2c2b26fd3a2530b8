"""Calls of torch's normalizations, caught while a module is traced.

A `TorchFunctionMode` sees every call, however the function was imported, before torch takes it
apart. Each becomes one symbolic operator `normonnx::NAME`, which torch's exporter writes as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.overrides import TorchFunctionMode

from normonnx.catalogue.contents import CATALOGUE
from normonnx.catalogue.norm import DOMAIN, Number
from normonnx.core.errors import UsageError
from normonnx.exporting.called import Called, readers

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall

logger: Final = logging.getLogger(__name__)
_FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_FUNCTIONS: Final = "torch.nn.functional"


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One call that was caught.

    Attributes:
        function: Name of torch's function.
        norm: Name of the normalization.
        shape: Of what is normalized; None for a size that is not known.
        dtype: Of the same, as torch names it: "float32".
        shapes: Of the parameters that were given, by name.
        attributes: By name.
    """

    function: str
    norm: str
    shape: tuple[int | None, ...]
    dtype: str
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[str, Number]

    @property
    def key(self) -> tuple[object, ...]:
        """What two calls that are alike have in common."""
        shapes, attributes = sorted(self.shapes.items()), sorted(self.attributes.items())
        return self.function, self.norm, self.shape, self.dtype, tuple(shapes), tuple(attributes)


class Capture(TorchFunctionMode):
    """Catches calls while it is entered.

    Attributes:
        sites: What was caught, in order.
        left: Calls that torch's exporter is left to write, and why.
    """

    def __init__(self) -> None:
        super().__init__()
        self._readers = readers()
        self.sites: list[Site] = []
        self.left: list[str] = []

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401  # torch's signature
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Called by torch for each of its functions."""
        del types
        read = self._readers.get(func)
        if read is not None:
            called = read(*args, **(kwargs or {}))
            site = None if called is None else self._site(func, called)
            if called is not None and site is not None:
                self.sites.append(site)
                return _symbolic(called, site)
        return func(*args, **(kwargs or {}))

    def _site(self, func: Any, called: Called) -> Site | None:  # noqa: ANN401
        """The call as data; None where it is no legal use of the catalogue's normalization."""
        name = str(getattr(func, "__name__", func)).partition(".")[0]
        if called.x.dtype not in _FLOATS:
            return None
        given = {key: value for key, value in called.parameters.items() if value is not None}
        site = Site(
            name,
            called.norm,
            tuple(_known(size) for size in called.x.shape),
            str(called.x.dtype).removeprefix("torch."),
            {key: tuple(map(int, value.shape)) for key, value in given.items()},
            called.attributes,
        )
        try:
            defined(site)
        except UsageError as error:
            self.left.append(f"{name} is left to torch's exporter: {error}")
            logger.info("%s", self.left[-1])
            return None
        return site


def defined(site: Site, **given: Any) -> NormCall:  # noqa: ANN401  # arrays, in place of shapes
    """The use of the catalogue's normalization that a call is.

    Raises:
        UsageError: It is no legal one.
    """
    import ml_dtypes
    import numpy as np

    kind = ml_dtypes.bfloat16 if site.dtype == "bfloat16" else np.dtype(site.dtype)
    known = {**site.shapes, **given, **site.attributes}
    return CATALOGUE[site.norm].define(site.shape, kind, **known)


def _known(size: Any) -> int | None:  # noqa: ANN401  # an int, or torch's SymInt
    return size if type(size) is int else None


def _symbolic(called: Called, site: Site) -> torch.Tensor:
    norm, call = CATALOGUE[called.norm], defined(site)
    parameters = [called.parameters.get(each.name) for each in norm.parameters]
    inputs = [called.x, *parameters]
    attributes: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in call.attributes.items()
    }
    return torch.onnx.ops.symbolic(
        f"{DOMAIN}::{norm.name}",
        inputs,
        attributes,
        dtype=called.x.dtype,
        shape=called.x.shape,
        version=1,
    )
