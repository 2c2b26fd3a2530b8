"""Upsample and Resize, GridSample, RoiAlign, and the axis of DFT.

Upsample (7: scales an attribute, 9: an input) and Resize 10 know one way to map coordinates:
x = i / scale, and floor for the nearest. Resize 11 names it "asymmetric" and has others. By a whole
factor, the nearest is the same whether coordinates are those of pixels' corners or centres:
(i + 1/2) / s - 1/2 lies within 1/2 of floor(i / s) and is never halfway.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from normonnx.lower.crossing import Crossing, RefusalError, Table, Written

_CENTRES: Final = frozenset({"half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"})
_ROI, _SCALES, _SIZES = 1, 2, 3
_GRID_MODES: Final = {"bilinear": "linear", "bicubic": "cubic"}
_PLANE: Final = 4


def _scales_to_input(at: Crossing) -> Written | None:
    found = at.known("scales")
    scales = np.asarray([] if found is None else found.as_floats(), np.float32)
    return at.again(inputs=[at.input(0), at.op.constant(scales)], drop=["scales"])


def _scales_to_attribute(at: Crossing) -> Written | None:
    scales = [float(scale) for scale in at.array(1, "scales").reshape(-1)]
    return at.again(inputs=[at.input(0)], attributes={"scales": scales})


def _upsample_to_resize(at: Crossing) -> Written | None:
    return at.again(op_type="Resize")


def _resize_to_upsample(at: Crossing) -> Written | None:
    if (at.array(1, "scales") < 1).any():
        message = "it makes smaller, and Upsample can't"
        raise RefusalError(message)
    return at.again(op_type="Upsample")


def _resize_up(at: Crossing) -> Written | None:
    """Coordinates as they were; only the nearest is rounded."""
    attributes = {"coordinate_transformation_mode": "asymmetric"}
    if at.text("mode", "nearest") == "nearest":
        attributes["nearest_mode"] = "floor"
    roi = at.op.constant(np.zeros(0, np.float32))
    return at.again(inputs=[at.input(0), roi, at.input(1)], attributes=attributes)


def _resize_down(at: Crossing) -> Written | None:
    scales = _scales(at)
    mode = at.text("mode", "nearest")
    how = at.text("coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear"):
        message = f"its mode {mode!r} came with opset 11"
        raise RefusalError(message)
    rounding = at.text("nearest_mode", "round_prefer_floor")
    whole = bool((scales == np.round(scales)).all() and (scales >= 1).all())
    as_before = how == "asymmetric" and (mode == "linear" or rounding == "floor")
    as_centres = mode == "nearest" and how in _CENTRES and rounding.startswith("round") and whole
    if not (as_before or as_centres or (scales == 1).all()):
        said = f"{how!r}" + (f" and {rounding!r}" if mode == "nearest" else "")
        message = f"its coordinates ({said}) came with opset 11"
        raise RefusalError(message)
    given = at.optional(_SCALES)
    if given is None or at.given(_SIZES):
        given = at.op.constant(scales)
    return [at.op("Resize", at.input(0), given, mode=mode)]


def _scales(at: Crossing) -> Any:  # noqa: ANN401  # an array
    """The scales, or those that give the sizes asked for."""
    if not at.given(_SIZES):
        return at.array(_SCALES, "scales")
    sizes, dims = at.ints(_SIZES, "sizes") or [], at.known_dims()
    scales = []
    for size, dim in zip(sizes, dims, strict=True):
        if dim is None:
            message = "it has sizes, and the size of X is not known, so neither are the scales"
            raise RefusalError(message)
        scale = np.float32(size / dim)
        steps = np.arange(size)
        same = (np.floor(steps / float(scale)) == steps * dim // size).all()
        if int(np.floor(dim * scale)) != size or not same:
            message = f"{dim} to {size} is no scale that float32 has exactly"
            raise RefusalError(message)
        scales.append(scale)
    return np.asarray(scales, np.float32)


def _resize_with_roi(at: Crossing) -> Written | None:
    """A region and scales must be there; empty ones where they aren't used."""
    empty = at.op.constant(np.zeros(0, np.float32))
    given = [at.optional(index) or empty for index in (_ROI, _SCALES)]
    if given == [at.optional(_ROI), at.optional(_SCALES)]:
        return None
    return at.again(inputs=[at.input(0), *given, at.optional(_SIZES)])


def _resize_13_up(at: Crossing) -> Written | None:
    if at.text("coordinate_transformation_mode", "") == "tf_half_pixel_for_nn":
        message = "its coordinates 'tf_half_pixel_for_nn' went with opset 13"
        raise RefusalError(message)
    return None


def _resize_all_axes(at: Crossing) -> Written | None:
    """Scales or sizes of some axes as those of all."""
    axes = at.int_list("axes")
    if axes is None:
        return None
    if at.text("keep_aspect_ratio_policy", "stretch") != "stretch" or at.given(_ROI):
        message = "it has a region, or keeps the aspect ratio, of some axes"
        raise RefusalError(message)
    dims = at.known_dims()
    inputs = list(at.node.inputs)
    if at.given(_SIZES):
        full: list[Any] = list(dims)
        for axis, size in zip(axes, at.ints(_SIZES, "sizes") or [], strict=True):
            full[axis] = size
        if None in full:
            message = "the size of an axis that it doesn't resize is not known"
            raise RefusalError(message)
        inputs[_SIZES] = at.op.ints(*full)
    else:
        scales = np.ones(len(dims), np.float32)
        scales[axes] = at.array(_SCALES, "scales")
        inputs[_SCALES] = at.op.constant(scales)
    return at.again(inputs=inputs, drop=["axes"])


def _resize_not_symmetric(at: Crossing) -> Written | None:
    if at.text("coordinate_transformation_mode", "") == "half_pixel_symmetric":
        message = "its coordinates 'half_pixel_symmetric' came with opset 19"
        raise RefusalError(message)
    return None


def _grid_up(at: Crossing) -> Written | None:
    mode = at.text("mode", "bilinear")
    return at.again(attributes={"mode": _GRID_MODES.get(mode, mode)})


def _grid_down(at: Crossing) -> Written | None:
    if len(at.known_dims()) != _PLANE:
        message = "X has more than two spatial axes, which came with opset 20"
        raise RefusalError(message)
    mode = at.text("mode", "linear")
    older = {new: old for old, new in _GRID_MODES.items()}
    return at.again(attributes={"mode": older.get(mode, mode)})


def _roi_align_up(at: Crossing) -> Written | None:
    return at.again(attributes={"coordinate_transformation_mode": "output_half_pixel"})


def _roi_align_down(at: Crossing) -> Written | None:
    how = at.text("coordinate_transformation_mode", "half_pixel")
    if how != "output_half_pixel":
        message = f"its coordinates {how!r} came with opset 16"
        raise RefusalError(message)
    return at.again(drop=["coordinate_transformation_mode"])


def _dft_up(at: Crossing) -> Written | None:
    axis = at.op.whole(at.int("axis", 1))
    return at.again(inputs=[at.input(0), at.optional(1), axis], drop=["axis"])


def _dft_down(at: Crossing) -> Written | None:
    axis = (at.ints(2, "axis") or [-2])[0]
    axis += len(at.known_dims()) if axis < 0 else 0
    return at.again(inputs=[at.input(0), at.optional(1)], attributes={"axis": axis})


UP: Final[Table] = {
    ("Upsample", 9): _scales_to_input,
    ("Upsample", 10): _upsample_to_resize,
    ("Resize", 11): _resize_up,
    ("Resize", 13): _resize_13_up,
    ("GridSample", 20): _grid_up,
    ("RoiAlign", 16): _roi_align_up,
    ("DFT", 20): _dft_up,
}
DOWN: Final[Table] = {
    ("Upsample", 9): _scales_to_attribute,
    ("Resize", 10): _resize_to_upsample,
    ("Resize", 11): _resize_down,
    ("Resize", 13): _resize_with_roi,
    ("Resize", 18): _resize_all_axes,
    ("Resize", 19): _resize_not_symmetric,
    ("GridSample", 20): _grid_down,
    ("RoiAlign", 16): _roi_align_down,
    ("DFT", 20): _dft_down,
}
