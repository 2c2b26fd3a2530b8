"""The tools that normonnx is measured beside, each as its own documentation says to call it.

Each has a `prepare` that imports what it needs and returns the work: read a file, optimize it,
write another. Only the work is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

Work = Callable[[str, str], None]  # file to read, file to write


@dataclass(frozen=True, slots=True)
class Peer:
    """One tool.

    Attributes:
        name: What the tables call it.
        about: How it is called.
        packages: What it takes to run it, as pip names them.
        prepare: Imports it, and returns the work.
        backend: What runs the result.
        writes: Whether there is a result to be run; else the original is, on the backend.
    """

    name: str
    about: str
    packages: tuple[str, ...]
    prepare: Callable[[], Work]
    backend: str = "ort:cpu"
    writes: bool = True


def _normonnx() -> Work:
    # All of it, since most is imported when it is first used.
    import onnxruntime  # noqa: F401  # which is asked for its kernels

    import normonnx
    import normonnx.fold.passes
    import normonnx.graph.files
    import normonnx.lowering
    import normonnx.pipeline
    import normonnx.recognize.passes
    import normonnx.runtime.kernel_registry

    def work(source: str, out: str) -> None:
        normonnx.save(normonnx.optimize(source, target="ort-cpu").model, out)

    return work


def _onnxsim() -> Work:
    import onnx
    import onnxsim

    def work(source: str, out: str) -> None:
        model, _checked = onnxsim.simplify(source)
        onnx.save(model, out)

    return work


def _onnxslim() -> Work:
    import onnxslim

    def work(source: str, out: str) -> None:
        onnxslim.slim(source, out)

    return work


def _onnxoptimizer() -> Work:
    import onnx
    import onnxoptimizer

    def work(source: str, out: str) -> None:
        onnx.save(onnxoptimizer.optimize(onnx.load(source)), out)

    return work


def _onnxscript() -> Work:
    import onnx_ir
    import onnxscript.optimizer
    import onnxscript.rewriter

    def work(source: str, out: str) -> None:
        model = onnx_ir.load(source)
        onnxscript.optimizer.optimize(model)
        onnx_ir.save(onnxscript.rewriter.rewrite(model), out)

    return work


def _onnxruntime(level: str) -> Work:
    import onnxruntime

    def work(source: str, out: str) -> None:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
        options.optimized_model_filepath = out
        options.intra_op_num_threads = 1
        options.log_severity_level = 4
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])

    return work


def _transformers() -> Work:
    """As opt_level=1 does, which imports torch: ONNX Runtime at basic, then the fusions."""
    from onnxruntime.transformers import optimizer

    basic = _onnxruntime("ORT_ENABLE_BASIC")

    def work(source: str, out: str) -> None:
        between = f"{out}.basic"
        basic(source, between)
        optimizer.optimize_model(between, opt_level=0).save_model_to_file(out)

    return work


def _openvino() -> Work:
    from normonnx.runtime.engines.openvino import imported

    openvino = imported()

    def work(source: str, out: str) -> None:
        del out
        openvino.Core().compile_model(source, "CPU", {"INFERENCE_NUM_THREADS": "1"})

    return work


_ORT: Final = "SessionOptions.optimized_model_filepath at ORT_ENABLE_"

PEERS: Final[Mapping[str, Peer]] = {
    peer.name: peer
    for peer in (
        Peer("normonnx", "normonnx.optimize(target='ort-cpu')", (), _normonnx),
        Peer("onnxsim", "onnxsim.simplify", ("onnxsim",), _onnxsim),
        Peer("onnxslim", "onnxslim.slim", ("onnxslim",), _onnxslim),
        Peer("onnxoptimizer", "onnxoptimizer.optimize", ("onnxoptimizer",), _onnxoptimizer),
        Peer(
            "onnxscript",
            "onnxscript.optimizer.optimize, then onnxscript.rewriter.rewrite",
            ("onnxscript",),
            _onnxscript,
        ),
        *(
            Peer(
                f"ORT {level}",
                f"{_ORT}{level.upper()}",
                ("onnxruntime",),
                partial(_onnxruntime, f"ORT_ENABLE_{level.upper()}"),
            )
            for level in ("basic", "extended", "all")
        ),
        Peer(
            "ORT transformers",
            "onnxruntime.transformers.optimizer.optimize_model after ORT basic, model type bert",
            ("onnxruntime",),
            _transformers,
        ),
        Peer(
            "OpenVINO",
            "openvino.Core.compile_model, and OpenVINO runs it, in float32",
            ("openvino",),
            _openvino,
            backend="openvino",
            writes=False,
        ),
    )
}
