"""The table of the catalogue: one row for each normalization."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, cast

from normonnx.catalogue.call import NormCall
from normonnx.catalogue.layers import check_sizes
from normonnx.catalogue.norm import Dim, Norm, Reader
from normonnx.core.errors import UsageError

# A row is the name of a file of this folder, which defines a `Norm` under that name in capitals.
ROWS: Final = (
    "batch_norm",
    "batch_norm_training",
    "layer_norm",
    "group_norm",
    "instance_norm",
    "rms_norm",
    "local_response_norm",
    "lp_norm",
    "mean_variance_norm",
    "layer_norm_2d",
    "global_response_norm",
    "adaptive_layer_norm",
    "adaptive_instance_norm",
    "filter_response_norm",
    "scale_norm",
    "dynamic_tanh",
    "standard_scaler",
    "min_max_scaler",
    "robust_scaler",
    "max_abs_scaler",
    "normalizer",
    "yeo_johnson",
    "box_cox",
)


class UnknownNormError(UsageError, KeyError):
    """There is no normalization of that name."""

    __str__ = Exception.__str__  # KeyError's puts quotes around the message


class Catalogue(Mapping[str, Norm]):
    """Normalizations by name.

    A name is found in any case, and also as the ONNX operator or the layer that it is:
    "GroupNorm", "GroupNormalization" and "torch.nn.GroupNorm" are one.
    """

    def __init__(self, norms: Iterable[Norm]) -> None:
        self._norms: dict[str, Norm] = {}
        self.readers: dict[tuple[str, str], Reader] = {}
        self.layers: dict[str, Norm] = {}
        self._others: dict[str, Norm] = {}
        for norm in norms:
            self._norms[norm.name] = norm
            self.readers |= norm.readers
            self.layers |= dict.fromkeys(norm.layers, norm)
            short = [name.rpartition(".")[2] for name in norm.layers]
            operators = [op_type for _, op_type in norm.readers]
            for name in (norm.name, *operators, *short, *norm.layers, *norm.aliases):
                other = self._others.setdefault(name.lower(), norm)
                if other is not norm:
                    message = f"{other.name} and {norm.name} both claim the name {name!r}"
                    raise ValueError(message)

    def __getitem__(self, name: str) -> Norm:
        found = self._norms.get(name) or self._others.get(str(name).lower())
        if found is None:
            raise UnknownNormError(self._unknown(str(name)))
        return found

    def __repr__(self) -> str:
        return f"<normonnx.norms: {', '.join(self)}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._norms)

    def __len__(self) -> int:
        return len(self._norms)

    def _unknown(self, name: str) -> str:
        """What to say of a name that is not known: names that are near, or all."""
        import difflib

        near = difflib.get_close_matches(name.lower(), self._others, n=3)
        close = list(dict.fromkeys(self[each].name for each in near))
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(self)}"
        return f"there is no normalization {name!r}; {hint}"

    def from_layer(
        self,
        layer: Any,
        shape: Sequence[Dim],
        dtype: Any = None,  # a module or estimator; a dtype
    ) -> NormCall:
        """The use of a normalization that a torch layer, or a fitted scikit-learn scaler, makes.

        Args:
            layer: A module of torch.nn, or an estimator of sklearn.preprocessing.
            shape: Of X; a name or None for a size that is not known.
            dtype: Of X; None for that of the layer's parameters, or float32.

        Raises:
            UsageError: The layer is no normalization that is known, doesn't fit the shape, or has
                no parameters yet.
        """
        _check_ready(layer)
        for kind in type(layer).__mro__:
            for name in _public_names(kind):
                if name in self.layers and _computes_as(layer, kind):
                    check_sizes(layer, shape)
                    read = self.layers[name].layers[name]
                    norm, given = read(layer, tuple(shape))
                    kinds = [v.dtype for v in given.values() if hasattr(v, "dtype")]
                    chosen = dtype or (kinds[0] if kinds else "float32")
                    return self[norm].define(shape, chosen, **given)
        message = (
            f"{type(layer).__module__}.{type(layer).__qualname__} is no normalization that is "
            f"known; these are: {', '.join(sorted(self.layers))}"
        )
        raise UsageError(message)


def _computes_as(layer: Any, kind: type) -> bool:
    """Whether a layer computes what a class that it inherits from does, by the same method."""
    return all(
        getattr(type(layer), name, None) is getattr(kind, name, None)
        for name in ("forward", "transform")
    )


def _check_ready(layer: Any) -> None:
    """Its parameters are there.

    Raises:
        UsageError: It is lazy, and has seen no input yet.
    """
    lazy = getattr(layer, "has_uninitialized_params", None)
    if lazy is not None and lazy():
        message = (
            f"this {type(layer).__name__} has no parameters yet; call it once on an input, so that "
            "it learns its sizes"
        )
        raise UsageError(message)


def _public_names(kind: type) -> tuple[str, ...]:
    """torch.nn.modules.normalization.GroupNorm is torch.nn.GroupNorm."""
    package = ".".join(kind.__module__.split(".")[:2])
    return (f"{package}.{kind.__qualname__}", f"{kind.__module__}.{kind.__qualname__}")


def _row(name: str) -> Norm:
    module = import_module(f"normonnx.catalogue.{name}")
    return cast("Norm", getattr(module, name.upper()))


CATALOGUE: Final = Catalogue(map(_row, ROWS))
