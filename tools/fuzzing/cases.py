"""Which broken or hostile file a number stands for, and what is done with it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.fuzz import attacks, mutations, places

_VALIDATED: Final = 0.04  # share of what could be optimized that is also held against the source
_INSPECTED: Final = 0.3
_SAME: Final = "the same function"  # but not in a narrow type that the file claims
_RUN: Final = 0.002  # share that a runtime runs, in a process of its own
_COMMANDS: Final = 0.01  # share that also goes through the command line
_WEIGHTS: Final = {"bytes": 6, "structure": 7, "places": 2, "attack": 3, "attack+": 2}
_PLAN: Final = tuple(kind for kind, weight in _WEIGHTS.items() for _ in range(weight))
_TARGETS: Final = ("portable", "portable", "portable", "ort-cpu", "openvino-cpu")


@dataclass(frozen=True, slots=True)
class Case:
    """One input: a kind, and the number that everything random about it is drawn from."""

    number: int

    @property
    def kind(self) -> str:
        """The kind of harm."""
        return _PLAN[self.number % len(_PLAN)]

    @property
    def rng(self) -> random.Random:
        """Whatever is random about it."""
        return random.Random(f"{self.kind} {self.number}")  # noqa: S311  # no secret

    def write(self, folder: Path) -> Path:
        """Put the file, and what it may refer to, into an empty folder."""
        rng = self.rng
        if self.kind == "places":
            return places.place(folder, rng)
        path = folder / "m.onnx"
        path.write_bytes(_MAKERS[self.kind](rng))
        return path


def _bytes(rng: random.Random) -> bytes:
    model = mutations.seed_model(rng.choice(list(mutations.SEEDS)))
    return mutations.mutated_bytes(bytes(model.SerializeToString()), rng)


def _structure(rng: random.Random) -> bytes:
    model = mutations.seed_model(rng.choice(list(mutations.SEEDS)))
    mutations.mutate_structure(model, rng)
    return bytes(model.SerializeToString())


def _attack(rng: random.Random) -> bytes:
    return bytes(rng.choice(list(attacks.ATTACKS.values()))(rng).SerializeToString())


def _mutated_attack(rng: random.Random) -> bytes:
    encoded = _attack(rng)
    if rng.random() < 0.5:  # noqa: PLR2004
        return mutations.mutated_bytes(encoded, rng)
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(encoded)  # refuses what nests too deep
    except DecodeError:
        return encoded
    mutations.mutate_structure(model, rng)
    return bytes(model.SerializeToString())


_MAKERS: Final[dict[str, Callable[[random.Random], bytes]]] = {
    "attack": _attack,
    "attack+": _mutated_attack,
    "bytes": _bytes,
    "structure": _structure,
}


def options_of(rng: random.Random) -> dict[str, Any]:
    """Options of `optimize`, mostly none."""
    options: dict[str, Any] = {"target": rng.choice(_TARGETS)}
    drawn = rng.random()
    if drawn < 0.1:  # noqa: PLR2004
        options["style"] = rng.choice(("function", "native", "primitive"))
    elif drawn < 0.15:  # noqa: PLR2004
        options["opset"] = rng.choice((7, 9, 11, 13, 18, 21))
    elif drawn < 0.2:  # noqa: PLR2004
        options["prefer"] = "accuracy"
    return options


def run(path: Path, out: Path, rng: random.Random) -> str:
    """Load, inspect, optimize, save, load again, and at times validate; what came of it.

    Whatever is raised other than a NormonnxError is a finding, and so is what this returns when it
    starts with "wrong".
    """
    import normonnx
    from normonnx.core.errors import NormonnxError

    if rng.random() < _COMMANDS:
        problem = _command_line(path, out, rng)
        if problem:
            return problem
    done = "load"
    try:
        loaded = normonnx.load(path)
        if rng.random() < _INSPECTED:
            done = "inspect"
            normonnx.inspect(loaded)
        done = "optimize"
        result = normonnx.optimize(loaded, **options_of(rng))
        done = "save"
        normonnx.save(result.model, out)
        done = "load again"
        normonnx.load(out)
        done = "validate"
        if rng.random() < _VALIDATED:
            return _validated(path, out, rng)
    except NormonnxError as error:
        message = str(error)
        if not message or "\n" in message:
            return f"wrong: a message of several lines or none: {message!r}"
        if done == "load again":
            return f"wrong: what was written can't be read: {message}"
        return f"refused by {done}"
    return "worked"


def _validated(path: Path, out: Path, rng: random.Random) -> str:
    import normonnx
    from normonnx.core.verdicts import Verdict

    backends = ("ort:cpu",) if rng.random() < _RUN / _VALIDATED else ()
    found = normonnx.validate(out, against=path, backends=backends, locate=False, timeout=20)
    rewritten = [
        one
        for one in found.comparisons
        if one.verdict is Verdict.MISMATCH and not one.reason.startswith(_SAME)
    ]
    if not backends and rewritten:
        return f"wrong: optimized is another function: {rewritten[0].reason}"
    return f"validated: {found.verdict.value}"


def _command_line(path: Path, out: Path, rng: random.Random) -> str:
    """A verb as it is typed: an exit code of ours, and one line where it fails."""
    import contextlib
    import io

    from normonnx.cli.__main__ import main

    verb = rng.choice(
        (["inspect", str(path), "--json", "-"], ["optimize", str(path), "-o", str(out), "--force"])
    )
    said, failed = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(failed):
        code = main(verb)
    if code not in range(6) or "internal error" in failed.getvalue():
        return f"wrong: {verb[0]} exits with {code}: {failed.getvalue()[-300:]}"
    lines = failed.getvalue().splitlines()
    if code in (2, 5) and len([line for line in lines if line.startswith("normonnx: ")]) != 1:
        return f"wrong: {verb[0]} exits with {code} and says {lines[-3:]}"
    return ""
