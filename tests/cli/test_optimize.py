"""`normonnx optimize`."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import onnx
import onnx.external_data_helper
import pytest

from tests.cli.running import Cli, Models


def _operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


def test_it_folds_checks_and_writes(cli: Cli, models: Models) -> None:
    """The BatchNormalization is gone, the result is checked, and the summary says both."""
    out = models.folder / "out.onnx"
    ran = cli("optimize", models.conv_bn, "-o", out)
    assert (ran.code, ran.err) == (0, "")
    assert _operators(out) == ["Conv", "Relu"]
    assert "verdict: pass" in ran.out
    assert f"{out} written\n" in ran.out
    onnx.checker.check_model(onnx.load(out), full_check=True)


def test_json_holds_report_and_verdict(cli: Cli, models: Models) -> None:
    """Sizes, rewrites and the outcome of the check are there, and nothing else is on stdout."""
    out = models.folder / "out.onnx"
    found = cli("optimize", models.conv_bn, "-o", out, "--json", "-").json
    assert found["schema"] == "normonnx.optimize/1"
    assert found["output"] == str(out)
    assert found["bytes_before"] == models.conv_bn.stat().st_size
    assert found["bytes_after"] == out.stat().st_size
    assert found["report"]["modified"] is True
    assert found["report"]["verification"]["verdict"] == "pass"
    assert found["report"]["verification"]["passed"] is True


def test_json_tells_both_ways_of_what_stays(cli: Cli, models: Models) -> None:
    """And how many rewrites were checked by themselves, where that was asked for."""
    ran = cli("optimize", models.kept, "--dry-run", "--explain", "--json", "-").json["report"]
    (event,) = ran["refused"]
    assert event["up"]["node"] == "r"
    assert event["down"]["reason"] in event["reason"]
    assert ran["checked"] is None
    ran = cli("optimize", models.conv_bn, "--dry-run", "--verify", "each", "--json", "-").json
    assert ran["report"]["checked"] == 1


def test_json_goes_to_a_file_beside_the_text(cli: Cli, models: Models) -> None:
    """A file name leaves the text on stdout."""
    report = models.folder / "report.json"
    ran = cli("optimize", models.conv_bn, "--dry-run", "--json", report)
    assert "verdict: pass" in ran.out
    assert json.loads(report.read_text())["output"] is None


def test_a_dry_run_writes_nothing(cli: Cli, models: Models) -> None:
    """With an output or without, the folder stays as it was."""
    before = sorted(models.folder.iterdir())
    for rest in ((), ("-o", models.folder / "out.onnx")):
        ran = cli("optimize", models.conv_bn, "--dry-run", *rest)
        assert ran.code == 0
        assert "nothing written: dry run" in ran.out
    assert sorted(models.folder.iterdir()) == before


def test_without_an_output_it_says_what_to_do(cli: Cli, models: Models) -> None:
    """The way out is in the error."""
    cli("optimize", models.conv_bn).refused(2, "-o OUTPUT", "--dry-run")


def test_behind_a_custom_operator_the_result_is_written_unverified(
    cli: Cli, models: Models
) -> None:
    """Nothing could be compared: exit code 4, and both text and file say so."""
    out = models.folder / "out.onnx"
    ran = cli("optimize", models.custom, "-o", out)
    assert ran.code == 4
    assert "verdict: inconclusive" in ran.out
    assert f"{out} written, unverified" in ran.out
    assert "pass" not in ran.out.replace("passes", "")
    assert _operators(out) == ["Conv", "Sparkle"]


def test_without_a_check_nothing_is_claimed(cli: Cli, models: Models) -> None:
    """--verify none writes, exits with 0 and says that nothing was checked."""
    out = models.folder / "out.onnx"
    ran = cli("optimize", models.conv_bn, "-o", out, "--verify", "none")
    assert ran.code == 0
    assert "not checked" in ran.out
    assert "pass" not in ran.out
    assert _operators(out) == ["Conv", "Relu"]


def test_each_rewrite_can_be_checked(cli: Cli, models: Models) -> None:
    """--verify each ends with the same verdict."""
    ran = cli("optimize", models.conv_bn, "--dry-run", "--verify", "each")
    assert ran.code == 0
    assert "verdict: pass" in ran.out


def test_on_a_mismatch_nothing_is_written(cli: Cli, models: Models, tmp_path: Path) -> None:
    """A fold with a sign error is caught by the check: exit code 1, the old output intact."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import normonnx.fold.sources as sources\n"
        "statistics_of = sources.statistics_of\n"
        "def wrong(surroundings, node):\n"
        "    found = statistics_of(surroundings, node)\n"
        "    return type(found)(-found.scale, found.bias, found.mean, found.deviation)\n"
        "sources.statistics_of = wrong\n"
    )
    out = models.write("out.onnx", b"old")
    root = Path(__file__).parents[2]
    for verify in ("final", "each"):
        ran = cli(
            *("optimize", models.conv_bn, "-o", out, "--verify", verify),
            env={"PYTHONPATH": f"{site}{os.pathsep}{root}"},
        )
        assert ran.code == 1, ran
        assert "verdict: mismatch" in ran.out
        assert "nothing written" in ran.out
        assert out.read_bytes() == b"old"


@pytest.mark.parametrize("how", ["same", "symlink", "hardlink", "detour"])
def test_an_input_is_never_overwritten_without_force(cli: Cli, models: Models, how: str) -> None:
    """Not under another name either; nothing is lost, and --force is named."""
    out = models.folder / "link.onnx"
    if how == "same":
        out = models.conv_bn
    elif how == "symlink":
        out.symlink_to(models.conv_bn)
    elif how == "hardlink":
        out.hardlink_to(models.conv_bn)
    else:
        (models.folder / "sub").mkdir()
        out = models.folder / "sub" / ".." / models.conv_bn.name
    before = models.conv_bn.read_bytes()
    cli("optimize", models.conv_bn, "-o", out).refused(2, "is an input", "--force")
    assert models.conv_bn.read_bytes() == before


def test_force_replaces_the_input(cli: Cli, models: Models) -> None:
    """Asked for, it is done, and the sizes are those of before and after."""
    before = models.conv_bn.stat().st_size
    ran = cli("optimize", models.conv_bn, "-o", models.conv_bn, "--force", "--json", "-")
    assert ran.code == 0
    assert _operators(models.conv_bn) == ["Conv", "Relu"]
    assert ran.json["bytes_before"] == before
    assert ran.json["bytes_after"] == models.conv_bn.stat().st_size


def test_the_external_data_of_an_input_is_an_input(cli: Cli, models: Models) -> None:
    """-o and --json refuse the file that holds its weights."""
    model = onnx.load(models.conv_bn)
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=0
    )
    path, weights = models.folder / "external.onnx", models.folder / "weights.bin"
    onnx.save(model, path)
    before = weights.read_bytes()
    cli("optimize", path, "-o", weights).refused(2, "is an input")
    cli("optimize", path, "--dry-run", "--json", weights).refused(2, "would replace")
    assert weights.read_bytes() == before
    assert cli("optimize", path, "-o", models.folder / "out.onnx").code == 0
    assert weights.read_bytes() == before


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("", "is a folder"),
        ("missing/out.onnx", "does not exist"),
        ("conv_bn.onnx/out.onnx", "does not exist"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(
    cli: Cli, models: Models, place: str, words: str
) -> None:
    """The error names the place; a damaged model behind it is not even looked at."""
    broken = models.write("broken.onnx", b"\xff" * 50)
    cli("optimize", broken, "-o", models.folder / place).refused(2, words)
    before = sorted(models.folder.iterdir())
    cli("optimize", models.conv_bn, "-o", models.folder / place).refused(2, words)
    assert sorted(models.folder.iterdir()) == before


def test_a_folder_without_permission_is_refused(cli: Cli, models: Models) -> None:
    """The error names the place; root, who may write anywhere else, may not write in /proc."""
    folder = models.folder / "locked"
    folder.mkdir(mode=0o500)
    if os.geteuid() == 0:
        folder = Path("/proc")
    out = folder / "out.onnx"
    cli("optimize", models.conv_bn, "-o", out).refused(2, f"can't write {out}")
    assert not out.exists()


def test_the_report_never_takes_the_place_of_the_result(cli: Cli, models: Models) -> None:
    """--json and -o of the same name are refused, whether the file exists or not."""
    out = models.folder / "out.onnx"
    cli("optimize", models.conv_bn, "-o", out, "--json", out).refused(2, "would replace")
    assert not out.exists()


def test_what_is_kept_stays(cli: Cli, models: Models) -> None:
    """--keep leaves a node alone, with that as the reason."""
    out = models.folder / "out.onnx"
    ran = cli("optimize", models.conv_bn, "-o", out, "--keep", "b", "--explain")
    assert ran.code == 0
    assert "kept as asked for" in ran.out
    assert _operators(out) == ["Conv", "BatchNormalization", "Relu"]


def test_a_typing_error_in_keep_does_not_go_unnoticed(cli: Cli, models: Models) -> None:
    """A name that is not in the model is an error, and nothing is written."""
    out = models.folder / "out.onnx"
    cli("optimize", models.conv_bn, "-o", out, "--keep", "bn7").refused(2, "'bn7'")
    cli("optimize", models.conv_bn, "-o", out, "--keep-input", "w7").refused(2, "'w7'")
    assert not out.exists()


def test_an_unknown_target_is_refused_with_those_that_exist(cli: Cli, models: Models) -> None:
    """Nothing is silently taken for the default."""
    cli("optimize", models.conv_bn, "--dry-run", "--target", "mars").refused(2, "mars", "portable")


def test_explain_prints_every_plan_and_refusal(cli: Cli, models: Models) -> None:
    """What was done and what was refused, with names."""
    done = cli("optimize", models.conv_bn, "--dry-run", "--explain").out
    assert any(row.split()[:2] == ["done", "fold-affine"] for row in done.splitlines())
    refused = cli("optimize", models.kept, "--dry-run", "--explain").out
    assert any(row.split()[:2] == ["refused", "fold-affine"] for row in refused.splitlines())


def test_two_runs_give_the_same_bytes_and_a_second_pass_changes_nothing(
    cli: Cli, models: Models
) -> None:
    """Optimizing is deterministic and idempotent, in fresh processes with other hash seeds."""
    outs = [models.folder / f"out{i}.onnx" for i in range(2)]
    for seed, out in enumerate(outs):
        arguments = ("optimize", models.conv_bn, "-o", out, "--verify", "none")
        assert cli(*arguments, env={"PYTHONHASHSEED": str(seed)}).code == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()
    again = models.folder / "again.onnx"
    ran = cli("optimize", outs[0], "-o", again)
    assert "nothing to rewrite" in ran.out
    assert again.read_bytes() == outs[0].read_bytes()


def test_it_works_from_another_folder_and_with_blanks_in_names(cli: Cli, models: Models) -> None:
    """Relative paths are relative to where the user stands."""
    folder = models.folder / "a b"
    folder.mkdir()
    shutil.copy(models.conv_bn, folder / "my model.onnx")
    ran = cli("optimize", "my model.onnx", "-o", "out.onnx", cwd=folder)
    assert ran.code == 0
    assert (folder / "out.onnx").exists()
