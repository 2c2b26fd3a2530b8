"""`normonnx validate`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from tests.cli.running import Cli, Models


def test_a_runtime_that_computes_rightly_passes(cli: Cli, models: Models) -> None:
    """ONNX Runtime on CPU, judged against float64, with the nodes that it ran."""
    ran = cli("validate", models.conv_bn)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith("verdict: pass")
    assert "CPUExecutionProvider" in ran.out


def test_json_holds_every_comparison(cli: Cli, models: Models) -> None:
    """Verdict, figures and settings, strict JSON, and nothing else on stdout."""
    found = cli("validate", models.conv_bn, "--json", "-", "--seed", "7").json
    assert found["schema"] == "normonnx.validate/1"
    assert (found["exit_code"], found["against"]) == (0, None)
    report = found["report"]
    assert (report["verdict"], report["passed"], report["seed"]) == ("pass", True, 7)
    assert {one["question"] for one in report["comparisons"]} == {"computes"}
    assert all(one["ratio"] <= report["factor"] for one in report["comparisons"])


def test_an_optimized_model_is_the_same_function(cli: Cli, models: Models) -> None:
    """--against asks the second question as well."""
    out = models.folder / "out.onnx"
    cli("optimize", models.conv_bn, "-o", out, "--verify", "none")
    found = cli("validate", out, "--against", models.conv_bn, "--json", "-").json
    assert found["exit_code"] == 0
    assert {one["question"] for one in found["report"]["comparisons"]} == {"computes", "equivalent"}


def test_another_function_is_a_mismatch(cli: Cli, models: Models) -> None:
    """One weight changed by a thousandth is seen: exit code 1."""
    model = onnx.load(models.conv_bn)
    (weight,) = (found for found in model.graph.initializer if found.name == "w")
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0, 0, 0, 0] *= 1.001
    weight.CopyFrom(onnx.numpy_helper.from_array(array, "w"))
    other = models.write("other.onnx", model.SerializeToString())
    ran = cli("validate", other, "--against", models.conv_bn)
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("verdict: mismatch")


MISSING = {
    "ort:cuda": "CUDAExecutionProvider",
    "ort:tensorrt": "TensorrtExecutionProvider",
    "ort:openvino": "OpenVINOExecutionProvider",
    "ort:MadeUp": "MadeUp",
    "openvino:MadeUp": "MADEUP",
    "abacus": "abacus",
    "torch": "torch:MODULE:FACTORY",
}


@pytest.fixture
def missing(request: pytest.FixtureRequest) -> str:
    """The name of a backend that is not here."""
    import onnxruntime

    backend = str(request.param)
    if MISSING[backend] in onnxruntime.get_available_providers():
        pytest.skip(f"{MISSING[backend]} is installed here")
    return backend


@pytest.mark.parametrize("missing", MISSING, indirect=True)
def test_what_is_not_here_never_reads_as_success(cli: Cli, models: Models, missing: str) -> None:
    """Exit code 3, what is missing by name, and the word is nowhere, in any case."""
    ran = cli("validate", models.conv_bn, "--backend", missing)
    assert ran.code == 3
    assert MISSING[missing] in ran.out
    assert "pass" not in (ran.out + ran.err).lower()
    assert "unavailable" in ran.out.splitlines()[-1]


@pytest.mark.parametrize("missing", ["ort:cuda", "abacus"], indirect=True)
def test_what_is_not_here_is_no_success_in_json(cli: Cli, models: Models, missing: str) -> None:
    """The word is the name of a key whose value is false, and nothing else."""
    ran = cli("validate", models.conv_bn, "--backend", missing, "--json", "-")
    found = ran.json
    assert (ran.code, found["exit_code"]) == (3, 3)
    assert (found["report"]["verdict"], found["report"]["passed"]) == ("unavailable", False)
    assert "pass" not in ran.out.replace('"passed": false', "").lower()
    (backend,) = found["report"]["backends"]
    assert (backend["backend"], backend["verdict"]) == (missing, "unavailable")


@pytest.mark.parametrize("missing", ["ort:cuda"], indirect=True)
def test_what_is_not_here_decides_beside_one_that_is(
    cli: Cli, models: Models, missing: str
) -> None:
    """Exit code 3; the other's row stands, the verdict is not its."""
    ran = cli("validate", models.conv_bn, "--backend", "ort:cpu", "--backend", missing)
    assert ran.code == 3
    assert ran.out.splitlines()[-1].startswith("verdict: unavailable")
    assert "verdict: pass" not in ran.out


def test_inputs_of_the_users_own_are_used(cli: Cli, models: Models) -> None:
    """An .npz with the input by name is the one case."""
    path = models.folder / "inputs.npz"
    rng = np.random.default_rng(1)
    np.savez(path, x=rng.standard_normal((2, 3, 8, 8)).astype(np.float32))
    ran = cli("validate", models.conv_bn, "--inputs", path, "--json", "-")
    assert ran.code == 0, ran
    assert len({one["case"] for one in ran.json["report"]["comparisons"]}) == 1


Arrays = dict[str, npt.NDArray[np.float32]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive", "inputs.npz"),
        (b"", "inputs.npz"),
        (b"PK\x03\x04" + bytes(40), "inputs.npz"),
        ({"z": np.zeros((1, 3, 8, 8), np.float32)}, "z"),
        ({"x": np.zeros((1, 5, 8, 8), np.float32)}, "x"),
        ({"x": np.zeros((1, 3, 8), np.float32)}, "x"),
    ],
    ids=["text", "empty", "damaged", "wrong-name", "wrong-size", "wrong-rank"],
)
def test_inputs_that_do_not_fit_are_refused(
    cli: Cli,
    models: Models,
    content: bytes | Arrays,
    words: str,
) -> None:
    """A damaged archive, a wrong name, a wrong shape: one line, exit code 2."""
    path = models.folder / "inputs.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.savez(path, allow_pickle=False, **content)
    cli("validate", models.conv_bn, "--inputs", path).refused(2, words)


def test_inputs_may_be_several(cli: Cli, models: Models) -> None:
    """Each file is a case; ONNX test data brings what is expected."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 3, 8, 8)).astype(np.float32)
    np.save(models.folder / "x.npy", x)
    data = models.folder / "data" / "test_data_set_0"
    data.mkdir(parents=True)
    (data / "input_0.pb").write_bytes(onnx.numpy_helper.from_array(x, "x").SerializeToString())
    good = ("--inputs", models.folder / "x.npy", "--inputs", f"x={models.folder / 'x.npy'}")
    ran = cli("validate", models.conv_bn, *good, "--inputs", data.parent, "--json", "-")
    assert ran.code == 0, ran
    cases = {one["case"] for one in ran.json["report"]["comparisons"]}
    assert cases == {"x", "given", "test_data_set_0"}
    wrong = np.ones((2, 4, 8, 8), np.float32)
    (data / "output_0.pb").write_bytes(onnx.numpy_helper.from_array(wrong).SerializeToString())
    assert cli("validate", models.conv_bn, "--inputs", data).code == 1


def test_profiles_are_cases(cli: Cli, models: Models) -> None:
    """All of them, and what was left out is told."""
    ran = cli("validate", models.conv_bn, "--profiles", "all,nan", "--json", "-")
    assert ran.code == 0, ran
    cases = {one["case"] for one in ran.json["report"]["comparisons"]}
    assert {"random", "constant", "tiny", "huge", "subnormal", "one-hot", "nan"} <= cases
    assert "inf" not in cases
    assert any(note.startswith("profile 1x1 was") for note in ran.json["report"]["notes"])
    ran = cli("validate", models.conv_bn, "--profiles", "tiny,1x1")
    assert "profile 1x1 was left out: no spatial size is dynamic" in ran.out
    cli("validate", models.conv_bn, "--profiles", "tiniest").refused(2, "tiniest", "tiny")


def test_json_never_replaces_inputs(cli: Cli, models: Models) -> None:
    """Not those of NAME=FILE either."""
    path = models.folder / "x.npy"
    np.save(path, np.ones((2, 3, 8, 8), np.float32))
    for given in (path, f"x={path}"):
        ran = cli("validate", models.conv_bn, "--inputs", given, "--json", path)
        ran.refused(2, "would replace")


def test_missing_inputs_are_refused(cli: Cli, models: Models) -> None:
    """Naming the file."""
    path = models.folder / "missing.npz"
    cli("validate", models.conv_bn, "--inputs", path).refused(2, "missing.npz")


def test_objects_in_an_archive_are_never_unpickled(cli: Cli, models: Models) -> None:
    """An .npz from elsewhere must not run code."""
    path = models.folder / "inputs.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    cli("validate", models.conv_bn, "--inputs", path).refused(2, "inputs.npz")


def test_a_shape_can_be_chosen(cli: Cli, models: Models) -> None:
    """--shape fixes a dynamic dimension; one that contradicts the model is refused."""
    assert cli("validate", models.conv_bn, "--shape", "x=3,3,8,8").code == 0
    cli("validate", models.conv_bn, "--shape", "x=3,4,8,8").refused(2, "x")
    cli("validate", models.conv_bn, "--shape", "nothing=1").refused(2, "nothing")


def test_a_custom_operator_is_inconclusive_at_best(cli: Cli, models: Models) -> None:
    """Neither the oracle nor the runtime can evaluate it, so it never passes."""
    ran = cli("validate", models.custom)
    assert ran.code in (3, 4, 5)
    assert "verdict: pass" not in ran.out


# --- several runtimes ---------------------------------------------------------------------------


def test_two_runtimes_and_the_oracle_side_by_side(cli: Cli, models: Models) -> None:
    """A row for each that was compared, and what the oracle is good for."""
    pytest.importorskip("openvino")
    names = ("ort:cpu,level=basic,threads=2", "openvino", "oracle")
    ran = cli("validate", models.conv_bn, *(part for name in names for part in ("--backend", name)))
    assert (ran.code, ran.err) == (0, "")
    rows = [row for row in ran.out.splitlines() if "computed rightly?" in row]
    assert len(rows) == 2
    assert "optimization level ORT_ENABLE_BASIC, intra-op threads 2" in ran.out
    assert "INFERENCE_PRECISION_HINT f32" in ran.out
    assert "oracle: it is the truth that others are compared with" in ran.out


def test_the_oracle_alone_is_inconclusive(cli: Cli, models: Models) -> None:
    """Exit code 4: it would only be compared with itself."""
    ran = cli("validate", models.conv_bn, "--backend", "oracle")
    assert ran.code == 4
    assert ran.out.splitlines()[-1] == "verdict: inconclusive: nothing was compared"


def test_a_torch_module_beside_the_caller_is_found(cli: Cli, models: Models) -> None:
    """MODULE is looked for in the current folder."""
    pytest.importorskip("torch")
    (models.folder / "flip.py").write_text(
        "from torch import nn\nclass Flip(nn.Module):\n    def forward(self, x):\n        return -x\n"
    )
    neg = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[n] x) => (float[n] y) { y = Neg(x) }'
    )
    path = models.write("neg.onnx", neg.SerializeToString())
    ran = cli("validate", path.name, "--backend", "torch:flip:Flip", cwd=models.folder)
    assert ran.code == 0, ran
    assert "precision float64" in ran.out
    ran = cli("validate", models.kept.name, "--backend", "torch:flip:Flip", cwd=models.folder)
    assert ran.code == 1, ran


# --- limits and tolerances ----------------------------------------------------------------------


def test_a_plain_tolerance_is_told(cli: Cli, models: Models) -> None:
    """In the verdict and in JSON; one that nothing can keep is a mismatch."""
    ran = cli("validate", models.conv_bn, "--rtol", "1e-3", "--atol", "1e-4")
    assert ran.code == 0, ran
    assert ran.out.splitlines()[-1].endswith("(rtol 0.001 and atol 0.0001 pass)")
    ran = cli("validate", models.conv_bn, "--atol", "1e-12", "--json", "-")
    assert ran.code == 1
    assert ran.json["report"]["tolerance"] == {"rtol": 0.0, "atol": 1e-12}
    assert "are beyond rtol 0, atol 1e-12" in ran.json["report"]["comparisons"][0]["reason"]


def test_all_lists_nodes_and_distributions(cli: Cli, models: Models) -> None:
    """What each node was, where it ran, and how the errors are distributed."""
    ran = cli("validate", models.conv_bn, "--all", "--backend", "ort:cpu,level=disabled")
    assert ran.code == 0
    rows = [row.split() for row in ran.out.splitlines()]
    assert ["CPUExecutionProvider", "Conv"] in [row[:2] for row in rows]
    assert ["CPUExecutionProvider", "BatchNormalization"] in [row[:2] for row in rows]
    assert "distribution of errors" in ran.out
    assert "99.9 %" in ran.out


def test_json_holds_distributions_and_nodes(cli: Cli, models: Models) -> None:
    """Percentiles, units in the last place, and the place of each node."""
    report = cli("validate", models.conv_bn, "--json", "-").json["report"]
    found = report["comparisons"][0]["statistics"]
    assert set(found["percentiles"]) == {"50.0", "90.0", "99.0", "99.9"}
    assert sum(found["ulps"].values()) > 0
    (backend,) = report["backends"]
    assert backend["coverage"] == 1
    assert {node["where"] for node in backend["nodes"]} == {"CPUExecutionProvider"}


def test_memory_that_does_not_suffice_is_unavailable(cli: Cli, models: Models) -> None:
    """Exit code 3, with the limit."""
    ran = cli("validate", models.conv_bn, "--memory", "1MB")
    assert ran.code == 3
    assert "took more than 0.001 GB of memory" in ran.out
    assert cli("validate", models.conv_bn, "--memory", "4GB").code == 0


def test_required_coverage_is_in_percent(cli: Cli, models: Models) -> None:
    """The CPU runs all of its nodes."""
    assert cli("validate", models.conv_bn, "--require-coverage", "100").code == 0


MISUSED = {
    "--memory": ("lots", "", "0", "-1GB", "4XB", "nan", "inf", "0.5"),
    "--require-coverage": ("101", "-1", "all"),
    "--timeout": ("0", "-1", "soon"),
    "--rtol": ("-1", "small", "nan", "inf"),
    "--atol": ("-1", "inf"),
    "--backend": ("ort:cpu,", "ort:cpu,level=fast", "ort:cpu,use_tf32=1", "openvino,threads=0"),
}


@pytest.mark.parametrize(
    ("option", "value"), [(option, value) for option, values in MISUSED.items() for value in values]
)
def test_options_that_make_no_sense_are_one_line(
    cli: Cli, models: Models, option: str, value: str
) -> None:
    """Exit code 2, naming the option, before anything runs."""
    words = (
        option.lstrip("-") if option in {"--rtol", "--atol"} else option.lstrip("-").split("-")[0]
    )
    cli("validate", models.conv_bn, option, value).refused(2, words)


# --- reports ------------------------------------------------------------------------------------


def test_junit_is_written_beside_the_text(cli: Cli, models: Models) -> None:
    """One suite for each question and backend; exit code and text are what they are without it."""
    from xml.etree import ElementTree as ET

    path = models.folder / "report.xml"
    ran = cli("validate", models.conv_bn, "--against", models.kept, "--junit", path)
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("verdict: mismatch")
    root = ET.parse(path).getroot()  # noqa: S314  # our own
    names = [suite.get("name") for suite in root.findall("testsuite")]
    assert names == ["computes: ort:cpu", "equivalent: oracle"]
    assert root.get("failures") == "2"  # on two cases of inputs


def test_junit_is_not_written_over_what_is_read(cli: Cli, models: Models) -> None:
    """Nor over the JSON, nor where there is no folder."""
    out = models.folder / "out"
    for place in (models.conv_bn, models.folder, models.folder / "no" / "r.xml", "-"):
        cli("validate", models.conv_bn, "--junit", place).refused(2, "--junit")
    ran = cli("validate", models.conv_bn, "--junit", out, "--json", out)
    ran.refused(2, "--junit", "would replace")
    assert not out.exists()
