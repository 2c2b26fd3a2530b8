"""Calls are read alike when they are caught and when torch's own translation is recognised."""

from __future__ import annotations

from dataclasses import replace

import pytest

import normonnx

torch = pytest.importorskip("torch", reason="modules are torch's: install normonnx[torch]")
from torch.nn import functional  # noqa: E402

from normonnx.exporting.capturing import Capture  # noqa: E402
from normonnx.exporting.witnesses import check_against_torch  # noqa: E402


def _captured() -> Capture:
    """Every function, of several ranks and with every parameter, called on plain tensors."""
    image, rows = torch.randn(2, 6, 8, 8), torch.randn(2, 6, 7)
    w = torch.linspace(0.5, 1.5, 6)
    capture = Capture()
    with capture:
        functional.layer_norm(image, (8, 8), None, None, 1e-3)
        functional.layer_norm(torch.randn(4, 6), (6,), w, w)
        functional.rms_norm(rows, (7,), torch.linspace(1, 2, 7))
        functional.group_norm(image, 2, w, w)
        functional.group_norm(rows, 3)
        functional.instance_norm(image, weight=w, bias=w)
        functional.instance_norm(rows, w, w, use_input_stats=False)
        functional.batch_norm(image, w, w, w, w)
        functional.batch_norm(image, None, None, w, w, training=True)
        torch.batch_norm(rows, w, w, w, w, False, 0.1, 1e-3, False)  # noqa: FBT003
        functional.local_response_norm(image, 2)
        functional.local_response_norm(rows, 5, 1e-3, 0.6, 2.0)
        functional.normalize(image)
        functional.normalize(rows, p=1.0, dim=-1)
        torch.ops.aten.layer_norm.default(rows, [7])
        functional.normalize(image, dim=(2, 3))  # type: ignore[arg-type]  # no LpNorm: left to torch
        functional.normalize(torch.ones(2, 3, dtype=torch.complex64))
    return capture


def test_all_kinds_agree() -> None:
    """Each is seen both ways."""
    sites, notes = _captured().sites, list[str]()
    kinds = len({site.key for site in sites})
    assert len(sites) == 15
    assert check_against_torch(sites, notes) == kinds
    assert notes == []


@pytest.mark.parametrize(
    ("norm", "attributes"),
    [
        ("LocalResponseNorm", {"alpha": 0.5}),
        ("GroupNorm", {"num_groups": 3}),
        ("LpNorm", {"axis": 2}),
    ],
)
def test_a_wrong_reading_is_an_error(
    norm: str, attributes: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read is made again as it was called, so a reader that errs is found out."""
    from normonnx.exporting import capturing, witnesses

    (site, *_) = [one for one in _captured().sites if one.norm == norm]
    wrong = {**site.attributes, **attributes}
    define = capturing.defined
    monkeypatch.setattr(
        witnesses, "defined", lambda one, **given: define(replace(one, attributes=wrong), **given)
    )
    with pytest.raises(normonnx.UsageError, match=r"in torch's own translation .* is"):
        check_against_torch([site], [])
