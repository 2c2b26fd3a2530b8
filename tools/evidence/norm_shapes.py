"""Uses of normalizations at the shapes that networks have, and with parameters drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

import normonnx
from normonnx.catalogue.call import NormCall
from normonnx.catalogue.checking import expected_shape
from normonnx.catalogue.norm import Parameter

_SEED: Final = 5
_AT_RUN_TIME: Final = "SAMPLE"  # in the names of extents of what is computed for each sample
_NEGATIVE: Final = frozenset({"minimum"})


@dataclass(frozen=True, slots=True)
class Shaped:
    """A use of a normalization.

    Attributes:
        norm: Its name.
        shape: Of X.
        attributes: By name; the others have their defaults.
        full: Whether all parameters are given, or only those that have no default.
        half: Whether it is measured in float16, too.
    """

    norm: str
    shape: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    full: bool = True
    half: bool = False

    def call(self, dtype: str = "float32") -> NormCall:
        """The use, with parameters."""
        norm = normonnx.norms[self.norm]
        source = np.random.default_rng(_SEED)
        given: dict[str, Any] = dict(self.attributes)
        for parameter in norm.parameters:
            if self.full or parameter.default is None:
                axis = self.attributes.get("axis", -1)
                dims = tuple(int(dim or 1) for dim in expected_shape(parameter, self.shape, axis))
                given[parameter.name] = _drawn(parameter, dims, source, dtype)
        return norm.define(self.shape, dtype, **given)


def _drawn(
    parameter: Parameter, dims: tuple[int, ...], source: np.random.Generator, dtype: str
) -> Any:  # noqa: ANN401  # an array, or a shape
    if _AT_RUN_TIME in parameter.extent.name:
        return dims
    numbers = source.uniform(0.5, 1.5, dims)
    return (-numbers if parameter.name in _NEGATIVE else numbers).astype(dtype)


_LRN: Final = {"size": 5, "alpha": 1e-4, "beta": 0.75}
_FEATURES: Final = (1000, 32)

SHAPES: Final = (
    # BERT and its like, LeViT, Swin and ConvNeXt with channels last
    Shaped("LayerNorm", (1, 128, 768), half=True),
    Shaped("LayerNorm", (1, 128, 768), full=False),
    Shaped("LayerNorm", (8, 128, 768)),
    Shaped("LayerNorm", (1, 64, 128)),
    Shaped("LayerNorm", (1, 3136, 96)),
    Shaped("LayerNorm", (1, 196, 384), half=True),
    Shaped("LayerNorm", (1, 196, 384), full=False),
    # ConvNeXt
    Shaped("LayerNorm2d", (1, 96, 56, 56), half=True),
    Shaped("LayerNorm2d", (1, 384, 14, 14)),
    Shaped("LayerNorm2d", (1, 384, 14, 14), full=False),
    Shaped("LayerNorm2d", (2, 64, 64, 64)),
    # U-Nets of diffusion, in two and three dimensions
    Shaped("GroupNorm", (1, 64, 64, 64), {"num_groups": 32}, half=True),
    Shaped("GroupNorm", (1, 64, 64, 64), {"num_groups": 32}, full=False),
    Shaped("GroupNorm", (1, 128, 32, 32), {"num_groups": 32}),
    Shaped("GroupNorm", (2, 256, 16, 16), {"num_groups": 32}, half=True),
    Shaped("GroupNorm", (1, 64, 8, 16, 16), {"num_groups": 32}),
    # Style transfer, U-Nets of images
    Shaped("InstanceNorm", (1, 64, 64, 64), half=True),
    Shaped("InstanceNorm", (1, 64, 64, 64), full=False),
    Shaped("InstanceNorm", (1, 128, 32, 32)),
    Shaped("InstanceNorm", (2, 8, 56, 56)),
    Shaped("InstanceNorm", (2, 8, 56, 56), full=False),
    # Llama and its like
    Shaped("RMSNorm", (1, 64, 2048), half=True),
    Shaped("RMSNorm", (1, 64, 2048), full=False),
    Shaped("RMSNorm", (1, 128, 576)),
    Shaped("RMSNorm", (8, 64, 1024), half=True),
    # AlexNet and GoogLeNet
    Shaped("LocalResponseNorm", (1, 64, 55, 55), _LRN),
    Shaped("LocalResponseNorm", (1, 192, 27, 27), _LRN),
    Shaped("LocalResponseNorm", (1, 64, 56, 56), _LRN),
    Shaped("LocalResponseNorm", (1, 192, 56, 56), _LRN),
    Shaped("LocalResponseNorm", (1, 64, 56, 56), {**_LRN, "beta": 0.5}),
    Shaped("LocalResponseNorm", (1, 192, 27, 27), {**_LRN, "beta": 0.5}),
    # Embeddings, keys and queries
    Shaped("LpNorm", (64, 512)),
    Shaped("LpNorm", (64, 512), {"epsilon": 1e-12}),
    Shaped("LpNorm", (64, 512), {"p": 1}),
    Shaped("LpNorm", (1, 196, 384)),
    Shaped("LpNorm", (1, 196, 384), {"epsilon": 1e-12}),
    Shaped("LpNorm", (1, 196, 384), {"axis": 1}),
    Shaped("LpNorm", (2, 64, 56, 56), {"axis": 1}),
    Shaped("MeanVarianceNorm", (2, 8, 56, 56)),
    Shaped("MeanVarianceNorm", (2, 8, 56, 56), {"axes": (2, 3)}),
    Shaped("MeanVarianceNorm", (1, 3, 224, 224), {"axes": (1, 2, 3)}),
    # ConvNeXt V2
    Shaped("GlobalResponseNorm", (1, 384, 14, 14), {"axis": 1}),
    Shaped("GlobalResponseNorm", (1, 14, 14, 384)),
    # DiT, StyleGAN
    Shaped("AdaptiveLayerNorm", (1, 256, 1152)),
    Shaped("AdaptiveLayerNorm", (2, 64, 768), {"offset": 1.0}),
    Shaped("AdaptiveInstanceNorm", (1, 64, 64, 64)),
    Shaped("AdaptiveInstanceNorm", (2, 128, 32, 32), {"offset": 1.0}),
    Shaped("FilterResponseNorm", (1, 64, 56, 56)),
    Shaped("ScaleNorm", (1, 128, 512)),
    Shaped("DynamicTanh", (1, 196, 384)),
    # Left where no Conv is before them: DenseNet, PointNet, after a Relu
    Shaped("BatchNorm", (1, 64, 112, 112), half=True),
    Shaped("BatchNorm", (8, 64, 56, 56)),
    Shaped("BatchNorm", (1, 256, 14, 14)),
    Shaped("BatchNorm", (1, 256, 14, 14), full=False),
    Shaped("BatchNorm", (64, 128)),
    Shaped("BatchNormTraining", (8, 64, 28, 28)),
    # Tables
    Shaped("StandardScaler", _FEATURES),
    Shaped("MinMaxScaler", _FEATURES),
    Shaped("RobustScaler", _FEATURES),
    Shaped("MaxAbsScaler", _FEATURES),
    Shaped("Normalizer", _FEATURES),
    Shaped("YeoJohnson", _FEATURES),
    Shaped("BoxCox", _FEATURES),
)
