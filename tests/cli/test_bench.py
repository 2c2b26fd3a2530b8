"""`normonnx bench`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.cli.running import CONV_BN, Cli, Models, with_weights

pytest.importorskip("onnxruntime", reason="models run on ONNX Runtime: install normonnx[cpu]")

_QUICK = ("--seconds", "0", "--sessions", "2")
_SIZE = ("--shape", "x=1,3,8,8")


@pytest.fixture
def optimized(cli: Cli, models: Models) -> Path:
    """What `optimize` makes of conv_bn."""
    out = models.folder / "optimized.onnx"
    assert cli("optimize", models.conv_bn, "-o", out).code == 0
    return out


def test_one_model_is_told_with_its_machine(cli: Cli, models: Models) -> None:
    """Latency with an interval, session, memory, inputs; nothing to compare, so nothing checked."""
    ran = cli("bench", models.conv_bn, *_QUICK)
    assert (ran.code, ran.err) == (0, "")
    assert "float32[1, 3, 8, 8]" in ran.out
    assert "peak memory" in ran.out
    assert "processor" in ran.out
    assert "A/A: conv_bn.onnx against itself" in ran.out
    assert "float64" not in ran.out


def test_two_models_are_compared_before_and_in_turns(
    cli: Cli, models: Models, optimized: Path
) -> None:
    """The ratio is of the base's time over the model's, pair by pair, with its interval."""
    ran = cli("bench", optimized, "--against", models.conv_bn, *_QUICK, "--json", "-")
    assert ran.code == 0
    found = ran.json
    assert (found["schema"], found["exit_code"]) == ("normonnx.bench/1", 0)
    report = found["report"]
    base, subject = report["timings"]
    assert (base["name"], subject["name"]) == ("conv_bn.onnx", "optimized.onnx")
    assert base["latency"]["speedup"] is None
    for kind in ("latency", "latency_cpu", "session", "session_cpu"):
        speedup = subject[kind]["speedup"]
        assert speedup["low"] <= speedup["median"] <= speedup["high"]
        assert speedup["samples"] >= 2
    medians = [one["latency"]["milliseconds"]["median"] for one in (base, subject)]
    assert subject["speedup"] == pytest.approx(medians[0] / medians[1], rel=0.8)
    assert report["noise"]["wall"]["samples"] == report["rounds"]
    assert {check["verdict"] for check in report["checks"]} == {"pass"}
    assert base["memory"] > 0
    assert report["machine"]["cores"]


def test_models_that_disagree_are_not_compared(cli: Cli, models: Models) -> None:
    """Exit code 1, nothing timed; --no-check times them and says nothing of their outputs."""
    other = models.folder / "other.onnx"
    onnx.save(with_weights(CONV_BN, seed=1), other)
    ran = cli("bench", other, "--against", models.conv_bn, *_QUICK)
    assert ran.code == 1
    assert "not timed: outputs disagree" in ran.out
    assert "session ms" not in ran.out
    ran = cli("bench", other, "--against", models.conv_bn, *_QUICK, "--no-check", "--json", "-")
    assert ran.code == 0
    assert ran.json["report"]["checks"] == []
    assert ran.json["report"]["timings"][1]["latency"] is not None


def test_a_backend_that_is_missing_is_exit_code_3(cli: Cli, models: Models) -> None:
    """With the way out; what runs on the others is told all the same."""
    backends = ("--backend", "ort:cpu", "--backend", "ort:NoSuchExecutionProvider")
    ran = cli("bench", models.conv_bn, *backends, *_QUICK)
    assert ran.code == 3
    assert "unavailable, this onnxruntime has no NoSuchExecutionProvider" in ran.out
    assert "conv_bn.onnx on ort:cpu,threads=1" in ran.out
    ran = cli("bench", models.conv_bn, "--backend", "orx:cpu", *_QUICK)
    assert ran.code == 3
    assert "did you mean ort:cpu" in ran.out


def test_two_runtimes_take_turns(cli: Cli, models: Models) -> None:
    """One model on ONNX Runtime and OpenVINO; their outputs were compared first."""
    pytest.importorskip("openvino")
    backends = ("--backend", "ort:cpu", "--backend", "openvino")
    found = cli("bench", models.conv_bn, *backends, *_QUICK, "--json", "-").json
    assert found["exit_code"] == 0
    names = [one["backend"] for one in found["report"]["timings"]]
    assert names == ["ort:cpu,threads=1", "openvino,threads=1"]
    assert found["report"]["timings"][1]["speedup"] > 0
    assert found["report"]["checks"][0]["verdict"] == "pass"


def test_what_can_not_be_compared_is_timed_and_exits_with_4(cli: Cli, tmp_path: Path) -> None:
    """Nobody can tell whether random outputs agree; the figures stand."""
    path, again = tmp_path / "random.onnx", tmp_path / "again.onnx"
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[N, 4] x) => (float[N, 4] y) { y = RandomNormalLike(x) }'
    for place in (path, again):
        onnx.save(onnx.parser.parse_model(text), place)
    ran = cli("bench", path, "--against", again, *_QUICK, "--json", "-")
    assert ran.code == 4
    assert ran.json["report"]["timings"][1]["latency"] is not None


def test_a_custom_operator_runs_nowhere(cli: Cli, models: Models) -> None:
    """Unavailable, exit code 3: the model may be right, only not for this runtime."""
    ran = cli("bench", models.custom, *_QUICK)
    assert ran.code == 3
    assert "unavailable, can't load the model" in ran.out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--batch", "0"), "not in the range"),
        (("--shape", "z=1,2"), "no input 'z'"),
        (("--inputs", "no.npz"), "no.npz"),
        (("--backend", "ort:cpu,colour=red"), "no option 'colour'"),
        (("--threads", "0"), "not in the range"),
        (("--sessions", "0"), "not in the range"),
    ],
)
def test_wrong_options_are_refused(
    cli: Cli, models: Models, options: tuple[str, ...], words: str
) -> None:
    """One line, before anything runs."""
    cli("bench", models.conv_bn, *options).refused(2, words)


def test_a_batch_that_the_model_does_not_have_is_refused(cli: Cli, tmp_path: Path) -> None:
    """A fixed first dimension stays what it is; given inputs have their own."""
    path, arrays = tmp_path / "fixed.onnx", tmp_path / "x.npy"
    text = '<ir_version: 8, opset_import: ["": 17]> g (float[2, 4] x) => (float[2, 4] y) { y = Neg(x) }'
    onnx.save(onnx.parser.parse_model(text), path)
    np.save(arrays, np.ones((2, 4), np.float32))
    cli("bench", path, "--batch", "3").refused(2, "fixed, to 2", "leave --batch out")
    cli("bench", path, "--batch", "2", "--inputs", arrays).refused(2, "leave it out")
    found = cli("bench", path, "--batch", "2", *_QUICK, "--json", "-").json
    assert found["report"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [2, 4]}]


def test_damaged_and_missing_models_are_refused(cli: Cli, models: Models) -> None:
    """As every verb does."""
    damaged = models.write("damaged.onnx", b"hello\n")
    cli("bench", damaged).refused(5, "damaged")
    cli("bench", models.conv_bn, "--against", damaged).refused(5, "damaged")
    cli("bench", models.folder / "no.onnx").refused(2, "no such file")
    cli("bench", models.conv_bn, "--json", models.conv_bn).refused(2, "would replace")


def test_the_number_of_runs_and_threads_is_as_asked(cli: Cli, models: Models) -> None:
    """No more rounds than runs; threads are told to the runtime."""
    asked = ("--runs", "3", "--threads", "2", "--batch", "4", "--warmup", "1")
    found = cli("bench", models.conv_bn, *asked, "--json", "-").json["report"]
    assert found["rounds"] == 3
    assert found["threads"] == 2
    assert found["timings"][0]["settings"]["intra-op threads"] == "2"
    assert found["inputs"][0]["shape"][0] == 4
