"""Shell completion: the scripts that shells read, and what they are answered."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from normonnx.cli import completion
from normonnx.cli.__main__ import main

_ROOT = Path(__file__).parents[2]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> object:
    """What a shell is answered: the words so far, the last of them begun."""

    def ask(*words: str) -> list[str]:
        monkeypatch.setenv(completion.VARIABLE, "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(("normonnx", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        assert main([]) == 0
        lines = capsys.readouterr().out.splitlines()
        return [line.partition(",")[2] for line in lines]

    return ask


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("op",), ["optimize"]),
        (("bench", "model.onnx", "--aga"), ["--against"]),
        (("bench", "model.onnx", "--backend", "ort:c"), ["ort:cpu", "ort:cuda"]),
        (("optimize", "model.onnx", "--target", "ort-c"), ["ort-cpu", "ort-cuda"]),
        (("tune", "model.onnx", "--target", "open"), ["openvino"]),
        (("optimize", "model.onnx", "--style", "n"), ["native"]),
        (("explain", "group"), ["GroupNorm"]),
        (("explain", "GroupNorm", "Batch"), ["BatchNorm", "BatchNormTraining"]),
        (("list", "b"), ["backends"]),
        (("validate", "m.onnx", "--qui"), ["--quiet"]),
    ],
    ids=" ".join,
)
def test_names_are_completed(asked: object, words: tuple[str, ...], found: list[str]) -> None:
    """Verbs, options, choices, targets, backends, normalizations."""
    assert callable(asked)
    assert asked(*words) == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell: str) -> None:
    """As the README says; where the shell is here, it finds no fault in it."""
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    env = {**os.environ, "PYTHONPATH": str(_ROOT), completion.VARIABLE: f"{shell}_source"}
    done = subprocess.run(
        [sys.executable, "-m", "normonnx"],
        capture_output=True,
        check=True,
        env=env,
        text=True,
    )
    assert completion.VARIABLE in done.stdout
    assert "normonnx" in done.stdout
    assert done.stderr == ""
    here = shutil.which(shell)
    if here is not None:
        subprocess.run([here, "-n"], check=True, input=done.stdout, text=True)


@pytest.mark.parametrize("instruction", ["tcsh_source", "bash", "bash_dance"])
def test_a_shell_that_is_not_known_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], instruction: str
) -> None:
    """One line that says what to write."""
    monkeypatch.setenv(completion.VARIABLE, instruction)
    assert main([]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "bash_source, zsh_source, fish_source" in said
