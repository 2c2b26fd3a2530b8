"""What a machine with a GPU is given: networks, their inputs and digests of their truths.

It takes torch, which the other machine does not have. Networks are exported at test size, where the
oracle is quick, a few at full size, and those whose latency matters at full size without weights.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
import onnx_ir as ir

from models import NETWORKS
from models.faults import FAULTS, NothingToSpoilError
from normonnx.core.dtypes import unit_roundoff
from normonnx.core.errors import NormonnxError
from normonnx.runtime.oracle import Perturbation, evaluate
from normonnx.timing.intervals import round_to
from normonnx.validation.judge import judging
from normonnx.validation.measures import FACTOR, noise_floor, relative_error
from tools.evidence import manifest, norm_uses
from tools.evidence.halves import halved
from tools.evidence.hollow import hollowed
from tools.evidence.manifest import Entry, Manifest, Timed
from tools.evidence.subjects import Subject, hashes_of, known

Size = Literal["test", "full"]
Exporter = Literal["dynamo", "dynamo-raw", "legacy"]

_SEED: Final = 0
_VISIBLE: Final = 2 * FACTOR  # floors by which a fault must move the truth to be planted
_SINGLE: Final[Mapping[str, tuple[str, str, tuple[int, ...]]]] = {
    "single_layer_norm": ("LayerNorm", "native", (4, 16, 256)),
    "single_instance_norm": ("InstanceNorm", "native", (2, 16, 24, 24)),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A network to export.

    Attributes:
        network: Key of `NETWORKS`; one that is not there is left out.
        size: Test or full.
        exporter: One of `models.exporters.EXPORTERS`.
        opset: Version of the default domain.
        half: Whether a float16 variant is wanted, too.
    """

    network: str
    size: Size = "test"
    exporter: Exporter = "legacy"
    opset: int = 17
    half: bool = True

    @property
    def name(self) -> str:
        """Unique among all."""
        size = "" if self.size == "test" else "_full"
        how = "" if self.exporter == "legacy" else f"_{self.exporter.replace('-', '_')}"
        return f"{self.network}{size}{how}"


JUDGED: Final = (
    Wanted("resnet50"),
    Wanted("bert_small"),
    Wanted("gn_unet", exporter="dynamo", opset=21),
    Wanted("style_transfer"),
    Wanted("llama", exporter="dynamo", opset=23),
    Wanted("alexnet", exporter="dynamo", opset=18),
    Wanted("convnext_v2"),
    Wanted("demo"),
    Wanted("pointnet"),
    Wanted("gn_unet"),
    Wanted("llama"),
    Wanted("mobilenet_v2"),
    Wanted("densenet121"),
    Wanted("repvgg"),
    Wanted("dcgan"),
    Wanted("convnext_v2", size="full", half=False),
)
# Quick to export, and one for each normalization.
QUICK: Final = (
    Wanted("demo"),
    Wanted("style_transfer"),
    Wanted("resnet50"),
    Wanted("bert_small"),
    Wanted("llama", half=False),
    Wanted("pointnet", half=False),
    Wanted("convnext_v2", half=False),
    Wanted("mobilenet_v2", half=False),
)
TIMED: Final = (
    Wanted("resnet50", "full", "dynamo-raw", 18),
    Wanted("pointnet", "full"),
    Wanted("resnet50", "full"),
    Wanted("mobilenet_v2", "full"),
    Wanted("repvgg", "full"),
    Wanted("densenet121", "full"),
    Wanted("unet", "full"),
    Wanted("gn_unet", "full"),
    Wanted("convnext", "full"),
    Wanted("bert_base", "full"),
)


def prepare(
    folder: Path,
    judged: Iterable[Wanted] = JUDGED,
    timed: Iterable[Wanted] = TIMED,
) -> Manifest:
    """Export networks into a folder, judge nothing, and write the manifest last.

    Args:
        folder: Made where it is missing.
        judged: Networks whose truth is computed.
        timed: Networks to be timed only.
    """
    folder.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    for wanted in judged:
        if wanted.network in NETWORKS:
            entries += _judged(folder, wanted)
    for name, (norm, form, shape) in _SINGLE.items():
        model = norm_uses.model(norm_uses.use(norm, shape), form)
        entries.append(_entry(folder, model, _plain(name, "single", {norm: 1}, {"X": list(shape)})))
    hollow = [_timed(folder, wanted) for wanted in timed if wanted.network in NETWORKS]
    found = Manifest(_SEED, _versions(), tuple(entries), tuple(hollow))
    manifest.write(found, folder)
    return found


def _judged(folder: Path, wanted: Wanted) -> list[Entry]:
    """A network in float32, and in float16 if that is wanted and can be had."""
    model, shapes, norms = _exported(wanted)
    plain = _plain(wanted.name, wanted.network, norms, shapes)
    found = [_entry(folder, model, plain)]
    if wanted.half:
        half = replace(plain, name=f"{plain.name}_fp16", precision="float16")
        half = replace(half, file=f"{half.name}.onnx")
        try:
            found.append(_entry(folder, halved(model), half))
        except Exception as error:  # noqa: BLE001  # the converter raises many kinds
            sys.stderr.write(f"{half.name} is left out: {str(error).splitlines()[0]}\n")
    return found


def _plain(
    name: str, network: str, norms: Mapping[str, int], shapes: Mapping[str, list[int]]
) -> Entry:
    return Entry(name, network, "float32", f"{name}.onnx", norms, shapes)


def _exported(
    wanted: Wanted,
) -> tuple[onnx.ModelProto, dict[str, list[int]], Mapping[str, int]]:
    """The model, the shapes of its inputs, and its normalizations."""
    from models.exporters import export

    network = NETWORKS[wanted.network](size=wanted.size, seed=_SEED)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.onnx"
        export(network, path, wanted.exporter, opset=wanted.opset)
        model = onnx.load(path)
    shapes = {name: list(tensor.shape) for name, tensor in network.inputs.items()}
    return model, shapes, network.norms


def _entry(folder: Path, model: onnx.ModelProto, plain: Entry) -> Entry:
    """Write a model, and what is known about it."""
    path = folder / plain.file
    onnx.save(model, path)
    settings = judging(_SEED, None, kernels=True)
    subject = known(plain, path, settings)
    return replace(
        plain,
        inputs={truth.case.name: hashes_of(truth.case.feeds) for truth in subject.truths},
        truth={
            truth.case.name: {
                name: manifest.digest_of(array)
                for name, array in truth.outputs.items()
                if isinstance(array, np.ndarray)
            }
            for truth in subject.truths
        },
        faults=_fitting(subject, model) if plain.precision == "float32" else {},
    )


def _timed(folder: Path, wanted: Wanted) -> Timed:
    model, shapes, _ = _exported(wanted)
    name = f"{wanted.name}_hollow"
    onnx.save(hollowed(model), folder / f"{name}.onnx")
    return Timed(name, f"{name}.onnx", shapes)


# --- faults that can be seen ----------------------------------------------------------------------


def _fitting(subject: Subject, model: onnx.ModelProto) -> dict[str, float]:
    """Faults that fit a model and move its truth, with how far, in noise floors."""
    found = {}
    for name, fault in FAULTS.items():
        try:
            spoiled = fault(model)
            moved = _moved(subject, spoiled, name)
        except (NothingToSpoilError, NormonnxError, IndexError):
            continue  # nothing to spoil, or what comes out is no legal model
        if moved >= _VISIBLE:
            found[name] = round_to(moved, 4)
    return found


def _moved(subject: Subject, spoiled: onnx.ModelProto, fault: str) -> float:
    """How far a fault moves the truth, in noise floors, on the case where it moves most.

    Two faults are the same function in exact arithmetic. What a stretch in float16 costs shows when
    the casts are perturbed. A variance of E[x²] - E[x]² loses (mean/deviation)² roundoffs where the
    input's own roundoff costs mean/deviation, so their ratio is mean/deviation (Chan, Golub and
    LeVeque, 1983, Algorithms for computing the sample variance).
    """
    if fault == "one-pass-variance":
        return max(_offset(subject, spoiled, number) for number in range(len(subject.truths)))
    noise = Perturbation(_SEED, kernels=False) if fault == "half-island" else None
    loaded = ir.from_proto(spoiled)
    found = []
    for truth in subject.truths:
        outputs = evaluate(loaded, truth.case.feeds, perturb=noise)
        for value in subject.model.graph.outputs:
            name = value.name or ""
            if value.dtype is None or not value.dtype.is_floating_point():
                continue
            u = unit_roundoff(value.dtype.numpy())
            floor = noise_floor(truth.outputs[name], [one[name] for one in truth.moved], u)
            found.append(relative_error(outputs[name], truth.outputs[name], u) / floor)
    return max(found, default=0.0)


def _offset(subject: Subject, spoiled: onnx.ModelProto, number: int) -> float:
    """|mean| over deviation of what the spoiled norm reads, at the median over its rows."""
    before = {node.output[0] for node in onnx.load(subject.path).graph.node}
    means = [
        node
        for node in spoiled.graph.node
        if node.op_type == "ReduceMean" and node.output[0] not in before
    ]
    source, feeds = means[0].input[0], subject.truths[number].case.feeds
    x = feeds[source] if source in feeds else _inner(subject, feeds, source)
    axes = tuple(int(axis) for axis in means[0].attribute[0].ints)
    numbers = np.asarray(x, np.float64)
    offsets = np.abs(numbers.mean(axes)) / np.maximum(numbers.std(axes), 1e-30)
    return float(np.median(offsets))


def _inner(subject: Subject, feeds: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401
    return evaluate(subject.model, feeds, keep=[name])[name]


def _versions() -> dict[str, str]:
    names: Sequence[str] = ("numpy", "onnx", "onnx-ir", "onnxruntime", "onnxscript", "torch")
    found = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"python": sys.version.split()[0], **found}
