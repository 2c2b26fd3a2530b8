"""ONNX Runtime: settings that reach it, and providers that are not what they seem."""

from __future__ import annotations

from pathlib import Path

import pytest

from normonnx.core.verdicts import NodePlacement, Verdict
from normonnx.runtime.engines import ort
from normonnx.runtime.engines.ort import session_options_of
from normonnx.runtime.naming import parse
from tests.fake_runtimes import CPU, CUDA, FakeOrt, distribution, put_first
from tests.unit.runtime.engines.conftest import NEG, Run, X, reason_of, validated

TENSORRT = "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


# --- settings -----------------------------------------------------------------------------------

LEVELS = {
    "ort:cpu": "ORT_ENABLE_ALL",
    "ort:cpu,level=all": "ORT_ENABLE_ALL",
    "ort:cpu,level=extended": "ORT_ENABLE_EXTENDED",
    "ort:cpu,level=basic": "ORT_ENABLE_BASIC",
    "ort:cpu,level=disabled": "ORT_DISABLE_ALL",
}


@pytest.mark.parametrize("backend", LEVELS)
def test_the_level_reaches_the_session(backend: str) -> None:
    """All optimizations unless fewer are asked for."""
    import onnxruntime

    level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[backend])
    assert session_options_of(onnxruntime, parse(backend)).graph_optimization_level == level


def test_optimizations_that_are_off_leave_the_nodes_as_they_are(run: Run) -> None:
    """An Identity goes only where that is allowed."""
    text = "g (float[n] x) => (float[n] y) { i = Identity(x) y = Neg(i) }"
    kinds = {
        level: [node.op_type for node in run(f"ort:cpu,level={level}", text, X).run.nodes]
        for level in ("disabled", "all")
    }
    assert kinds == {"disabled": ["Identity", "Neg"], "all": ["Neg"]}


def test_level_and_threads_are_reported(run: Run) -> None:
    """One thread unless more are asked for; both change the order of sums."""
    import onnxruntime

    assert session_options_of(onnxruntime, parse("ort:cpu")).intra_op_num_threads == 1
    assert session_options_of(onnxruntime, parse("ort:cpu,threads=2")).intra_op_num_threads == 2
    settings = run("ort:cpu,threads=2,level=basic", NEG, X).run.settings
    assert settings["intra-op threads"] == "2"
    assert settings["optimization level"] == "ORT_ENABLE_BASIC"


def test_options_are_handed_to_the_provider(run: Run, fake_ort: FakeOrt) -> None:
    """Together with what is pinned; level and threads are the session's; the CPU takes the rest."""
    outcome = run("ort:cuda,device_id=1,level=basic,threads=3,use_tf32=1", NEG, X)
    assert outcome.run.reason == ""
    (name, options), rest = fake_ort.kept["providers"]
    assert (name, rest) == (CUDA, CPU)
    assert options == {"use_tf32": "1", "cudnn_conv_algo_search": "HEURISTIC", "device_id": "1"}
    assert fake_ort.kept["options"]["intra_op_num_threads"] == 3
    assert fake_ort.kept["options"]["graph_optimization_level"] == 1
    assert fake_ort.kept["fallback"] == 0
    assert outcome.run.settings.items() >= options.items()


@pytest.mark.parametrize(
    "spelling", ["cuda", "CUDA", "CUDAExecutionProvider", "cudaexecutionprovider"]
)
def test_a_provider_is_named_with_or_without_its_suffix(
    run: Run, fake_ort: FakeOrt, spelling: str
) -> None:
    """In any case."""
    assert run(f"ort:{spelling}", NEG, X).run.asked == CUDA
    assert fake_ort.kept["preloaded"]


# --- a provider that is listed but not used -----------------------------------------------------


def test_a_session_that_falls_back_is_unavailable(run: Run, fake_ort: FakeOrt) -> None:
    """The provider is listed, its libraries are missing, and the CPU would answer rightly."""
    fake_ort.says(used=(CPU,), nodes=(("n", "Neg", CPU),))
    assert reason_of(run("ort:cuda", NEG, X)).startswith(f"{CUDA} was asked for but not used")
    found = validated(backends=("ort:cpu", "ort:cuda"))
    assert found.verdict is Verdict.UNAVAILABLE
    assert [one.verdict for one in found.backends] == [Verdict.PASS, Verdict.UNAVAILABLE]


def test_a_provider_that_gets_no_node_is_unavailable(run: Run, fake_ort: FakeOrt) -> None:
    """It is used, they say, but every node is on the CPU."""
    fake_ort.says(nodes=(("n", "Neg", CPU), ("m", "Neg", CPU)))
    assert reason_of(run("ort:cuda", NEG, X)) == f"{CUDA} was asked for but ran no node"


def test_a_provider_that_fails_to_load_is_unavailable(run: Run, fake_ort: FakeOrt) -> None:
    """With the first line of what it said."""
    fake_ort.says(on_load="raise RuntimeError('libcudnn.so.9: cannot open\\nmore')")
    assert reason_of(run("ort:cuda", NEG, X)) == "can't load the model: libcudnn.so.9: cannot open"


QUARTERS = (("a", "Conv", CUDA), ("b", "Relu", CUDA), ("c", "TopK", CPU), ("d", "Conv", CUDA))


def test_placement_says_what_ran_elsewhere(run: Run, fake_ort: FakeOrt) -> None:
    """Three of four nodes on the provider: counted, and the fourth named."""
    fake_ort.says(nodes=QUARTERS)
    found = run("ort:cuda", NEG, X).run
    assert (found.verdict, found.asked) == (Verdict.PASS, CUDA)
    assert found.placement == {CUDA: 3, CPU: 1}
    assert found.coverage == 0.75
    assert found.elsewhere == (NodePlacement("c", "TopK", CPU),)


@pytest.mark.parametrize(
    ("required", "verdict"),
    [
        (0.0, Verdict.PASS),
        (0.75, Verdict.PASS),
        (0.76, Verdict.UNAVAILABLE),
        (1, Verdict.UNAVAILABLE),
    ],
)
def test_coverage_can_be_required(fake_ort: FakeOrt, required: float, verdict: Verdict) -> None:
    """What runs fewer of the nodes where it should is unavailable, although its numbers are right."""
    fake_ort.says(nodes=QUARTERS)
    found = validated(require_coverage=required)
    assert found.verdict is verdict
    assert [one.verdict for one in found.comparisons] == [Verdict.PASS]
    if verdict is Verdict.UNAVAILABLE:
        assert found.backends[0].reason == (
            f"only 3 of its 4 nodes ran on {CUDA}, {required * 100:g}% is required; elsewhere: "
            f"TopK 'c' on {CPU}"
        )


def test_the_first_few_of_many_nodes_are_named(fake_ort: FakeOrt) -> None:
    """A reason stays one readable line."""
    elsewhere = tuple((f"t{number}", "TopK", CPU) for number in range(8))
    fake_ort.says(nodes=(*elsewhere, ("a", "Conv", CUDA), ("b", "Conv", CUDA)))
    assert validated(require_coverage=0.2).verdict is Verdict.PASS
    reason = validated(require_coverage=0.9).backends[0].reason
    assert reason.endswith(f"TopK 't0' on {CPU}, TopK 't1' on {CPU}, TopK 't2' on {CPU} and 5 more")


OLD = "del InferenceSession.get_provider_graph_assignment_info"


def test_an_older_onnxruntime_runs_the_cpu_without_placement(run: Run, fake_ort: FakeOrt) -> None:
    """It can't tell where nodes run, which for the CPU is no question; required coverage is."""
    fake_ort.says(available=(CPU,), used=(CPU,), after=OLD)
    found = run("ort:cpu", NEG, X)
    assert (found.run.verdict, found.run.nodes) == (Verdict.PASS, ())
    assert found.outputs[0]["y"].tolist() == [-1, -2, -3, -4, -5]
    report = validated(backends=("ort:cpu",), require_coverage=0.5)
    assert report.verdict is Verdict.UNAVAILABLE
    assert report.backends[0].reason == (
        "it does not tell where nodes ran, and 50% coverage is required"
    )


def test_an_older_onnxruntime_can_not_prove_that_a_provider_ran(
    run: Run, fake_ort: FakeOrt
) -> None:
    """So it did not; the version that can is named. It has no preload_dlls either."""
    fake_ort.says(after=f"{OLD}\ndel preload_dlls")
    reason = reason_of(run("ort:cuda", NEG, X))
    assert reason == "this onnxruntime can't tell where nodes run; it takes 1.24 or newer"


# --- what changes numbers -----------------------------------------------------------------------


def test_full_precision_is_pinned_and_told(run: Run, fake_ort: FakeOrt) -> None:
    """CUDA would use TF32, and time cuDNN's algorithms, by default."""
    found = run("ort:cuda", NEG, X).run
    assert fake_ort.kept["providers"][0][1] == {
        "use_tf32": "0",
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    assert fake_ort.kept["override"] == "0"
    assert found.settings["use_tf32"] == "0"
    assert found.settings["cudnn_conv_algo_search"] == "HEURISTIC"
    assert found.settings["NVIDIA_TF32_OVERRIDE"] == "0"
    assert found.reduced == ()


REDUCED = {
    "ort:cuda,use_tf32=1": ("TF32",),
    "ort:cuda,use_tf32=True": ("TF32",),
    "ort:cuda,use_tf32=False": (),
    "ort:tensorrt": (),
    "ort:tensorrt,trt_fp16_enable=1": ("float16",),
    "ort:tensorrt,trt_bf16_enable=1,trt_int8_enable=true": ("bfloat16", "int8"),
    "ort:openvino": (),
    "ort:openvino,precision=ACCURACY": (),
    "ort:openvino,precision=FP16": ("FP16",),
}


@pytest.mark.parametrize("backend", REDUCED)
def test_reduced_precision_is_named(backend: str) -> None:
    """Where an option allows it, and only there."""
    named = parse(backend)
    provider = {"cuda": CUDA, "tensorrt": TENSORRT, "openvino": OPENVINO}[named.device]
    assert ort._reduced({**ort._PINNED[provider], **named.options}) == REDUCED[backend]


def test_tf32_is_not_forbidden_where_it_is_asked_for(run: Run, fake_ort: FakeOrt) -> None:
    """The variable that turns it off below CUDA stays unset."""
    found = run("ort:cuda,use_tf32=1", NEG, X).run
    assert fake_ort.kept["override"] is None
    assert "NVIDIA_TF32_OVERRIDE" not in found.settings


def test_a_mismatch_in_reduced_precision_says_so(fake_ort: FakeOrt) -> None:
    """The backend may do just what it was told; in full precision it has no such excuse."""
    fake_ort.says(scale=1.001)
    excused = validated(backends=("ort:cuda,use_tf32=1",))
    assert excused.verdict is Verdict.MISMATCH
    assert excused.comparisons[0].reason.endswith("; it ran in reduced precision (TF32)")
    plain = validated()
    assert plain.verdict is Verdict.MISMATCH
    assert "reduced" not in plain.comparisons[0].reason
    fake_ort.says()
    assert validated(backends=("ort:cuda,use_tf32=1",)).comparisons[0].reason == ""


CARDS = {
    "one card": ("echo 'NVIDIA H100, 570.1'; echo 'Another, 1'", {"device": "NVIDIA H100", "driver": "570.1"}),
    "no card": ("echo 'No devices were found'; exit 6", {}),
    "silent": ("", {}),
}  # fmt: skip


@pytest.mark.parametrize(("script", "expected"), CARDS.values(), ids=CARDS)
def test_the_graphics_card_is_told(
    run: Run,
    fake_ort: FakeOrt,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    expected: dict[str, str],
) -> None:
    """Name and driver, where NVIDIA's tool knows them; a broken tool breaks nothing."""
    tool = fake_ort.folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake_ort.folder}:/usr/bin:/bin")
    found = run("ort:cuda", NEG, X).run
    assert found.verdict is Verdict.PASS
    assert {
        key: found.settings[key] for key in ("device", "driver") if key in found.settings
    } == expected


# --- two distributions over each other ----------------------------------------------------------


@pytest.fixture
def two_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata of onnxruntime-gpu beside the onnxruntime that is installed here."""
    folder = tmp_path / "site"
    folder.mkdir()
    distribution(folder, "onnxruntime-gpu", "onnxruntime")
    put_first(folder, monkeypatch)


BOTH = "onnxruntime and onnxruntime-gpu are installed over each other"


@pytest.mark.usefixtures("two_installed")
def test_two_distributions_over_each_other_are_noted(run: Run) -> None:
    """What runs may be a mixture of both; the way out is said."""
    found = run("ort:cpu", NEG, X).run
    assert found.verdict is Verdict.PASS
    (note,) = found.notes
    assert note.startswith(BOTH)
    assert note.endswith("uninstall all of them, then install one")


@pytest.mark.usefixtures("two_installed")
def test_two_distributions_over_each_other_explain_a_missing_provider(run: Run) -> None:
    """That is the usual consequence."""
    reason = reason_of(run("ort:MadeUp", NEG, X))
    assert reason.startswith("this onnxruntime has no MadeUp, only ")
    assert BOTH in reason


def test_one_distribution_is_nothing_to_say(run: Run) -> None:
    """No note without a conflict."""
    assert run("ort:cpu", NEG, X).run.notes == ()
