"""`normonnx record` and `normonnx compare`."""

from __future__ import annotations

import pytest

from tests.cli.running import Cli, Models


def test_a_recording_is_judged_elsewhere(cli: Cli, models: Models) -> None:
    """The same figures live, recorded, compared with and without the model."""
    bundle = models.folder / "run.bundle"
    live = cli("validate", models.conv_bn, "--json", "-").json["report"]
    recorded = cli("record", models.conv_bn, "-o", bundle, "--json", "-").json
    assert recorded["schema"] == "normonnx.record/1"
    assert (recorded["exit_code"], recorded["bytes"]) == (0, bundle.stat().st_size)
    models.conv_bn.rename(models.folder / "renamed.onnx")
    for options in ((), ("--model", models.folder / "renamed.onnx")):
        found = cli("compare", bundle, *options, "--json", "-").json["report"]
        assert found["verdict"] == "pass"
        for key in ("error", "floor", "ratio", "max_abs", "statistics"):
            assert [one[key] for one in found["comparisons"]] == [
                one[key] for one in live["comparisons"]
            ]


def test_the_text_says_what_was_written(cli: Cli, models: Models) -> None:
    """Verdict, file and size."""
    bundle = models.folder / "run.bundle"
    ran = cli("record", models.conv_bn, "-o", bundle)
    assert (ran.code, ran.err) == (0, "")
    assert f"{bundle} written, " in ran.out.splitlines()[-1]
    ran = cli("compare", bundle, "--backend", "ort:cpu")
    assert ran.code == 0
    assert "ort:cpu (recorded)" in ran.out
    assert "bit by bit" in ran.out
    assert ran.out.splitlines()[-1].startswith("verdict: pass")


def test_unjudged_and_digests(cli: Cli, models: Models) -> None:
    """--no-judge ends well and says so; --digests writes a few kilobytes."""
    bundle = models.folder / "run.bundle"
    ran = cli("record", models.conv_bn, "-o", bundle, "--no-judge", "--digests")
    assert ran.code == 0
    assert ran.out.splitlines()[-1].endswith("not judged")
    assert bundle.stat().st_size < 5000


@pytest.mark.parametrize("backend", ["ort:cuda", "ort:MadeUp"])
def test_a_missing_backend_writes_nothing(cli: Cli, models: Models, backend: str) -> None:
    """Exit code 3 from both verbs, and nothing reads as a pass."""
    bundle = models.folder / "run.bundle"
    ran = cli("record", models.conv_bn, "-o", bundle, "--backend", backend)
    assert ran.code == 3
    assert "pass" not in (ran.out + ran.err).lower()
    assert not bundle.exists()
    cli("record", models.conv_bn, "-o", bundle)
    assert cli("compare", bundle, "--backend", backend).code == 3


def test_a_damaged_bundle_is_one_line(cli: Cli, models: Models) -> None:
    """Truncated, altered, missing, or no bundle at all."""
    bundle = models.folder / "run.bundle"
    cli("record", models.conv_bn, "-o", bundle)
    raw = bundle.read_bytes()
    cut = models.write("cut.bundle", raw[: len(raw) // 2])
    cli("compare", cut).refused(2, "truncated", "record it again")
    altered = bytearray(raw)
    altered[100] ^= 1
    changed = models.write("changed.bundle", bytes(altered))
    cli("compare", changed).refused(2, "changed.bundle")
    cli("compare", models.conv_bn).refused(2, "no bundle")
    cli("compare", models.folder / "none.bundle").refused(2, "none.bundle")


def test_a_backend_without_the_model_is_refused(cli: Cli, models: Models) -> None:
    """With the way out."""
    bundle = models.folder / "run.bundle"
    cli("record", models.conv_bn, "-o", bundle)
    models.conv_bn.unlink()
    cli("compare", bundle, "--backend", "ort:cpu").refused(2, "--model")


def test_an_input_is_never_overwritten(cli: Cli, models: Models) -> None:
    """A bundle can't take the model's place, nor JSON the bundle's."""
    before = models.conv_bn.read_bytes()
    cli("record", models.conv_bn, "-o", models.conv_bn).refused(2, "overwritten")
    bundle = models.folder / "run.bundle"
    cli("record", models.conv_bn, "-o", bundle)
    cli("compare", bundle, "--json", bundle).refused(2, "would replace")
    cli("record", models.conv_bn, "-o", models.folder / "no" / "x").refused(2, "does not exist")
    assert models.conv_bn.read_bytes() == before
