"""Whatever goes wrong is one line on stderr and an exit code of the contract; never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from normonnx.cli import verbs
from normonnx.cli.__main__ import INTERRUPTED, NO_READER, main
from normonnx.core.errors import ExitCode
from tests.cli.running import Cli, Models

_ROOT = Path(__file__).parents[2]
_VERBS = ("inspect", "optimize", "validate")


def _call(verb: str, model: Path) -> tuple[object, ...]:
    rest = ("-o", model.with_name("out.onnx")) if verb == "optimize" else ()
    return (verb, model, *rest)


@pytest.mark.parametrize(
    ("verb", "name", "content", "words"),
    [
        *((verb, "empty", b"", "is empty") for verb in _VERBS),
        *((verb, "text", b"hello, world\n", "is damaged or no ONNX model") for verb in _VERBS),
        ("inspect", "random", bytes(range(255, 0, -1)) * 4, "is damaged or no ONNX model"),
        ("inspect", "zip", b"PK\x03\x04" + bytes(60), "is damaged or no ONNX model"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_file_that_is_no_model_is_invalid(
    cli: Cli, models: Models, verb: str, name: str, content: bytes, words: str
) -> None:
    """Empty files, text, random bytes and archives: exit code 5, naming the file."""
    path = models.write(f"{name}.onnx", content)
    cli(*_call(verb, path)).refused(5, str(path), words)
    assert not (models.folder / "out.onnx").exists()


@pytest.mark.parametrize(
    ("verb", "share"),
    [("inspect", 0.2), ("optimize", 0.6), ("validate", 0.8), ("inspect", 0.99)],
)
def test_a_truncated_model_is_invalid(cli: Cli, models: Models, verb: str, share: float) -> None:
    """Wherever a download stopped, the file is refused as damaged."""
    whole = models.conv_bn.read_bytes()
    path = models.write("cut.onnx", whole[: int(len(whole) * share)])
    cli(*_call(verb, path)).refused(5, str(path), "damaged")


@pytest.mark.parametrize("verb", _VERBS)
def test_a_missing_file_and_a_folder_are_usage_errors(cli: Cli, models: Models, verb: str) -> None:
    """Exit code 2, naming the path."""
    missing = models.folder / "missing.onnx"
    cli(*_call(verb, missing)).refused(2, str(missing), "no such file")
    cli(*_call(verb, models.folder)).refused(2, str(models.folder), "is a folder")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no-such-verb",), "No such command 'no-such-verb'"),
        (("list", "nonsense"), "'nonsense' is not one of"),
        (("inspect",), "Missing argument 'MODEL'"),
        (("--no-such-option",), "No such option"),
        (("optimize", "m.onnx", "--verify", "maybe"), "'maybe' is not one of"),
        (("validate", "m.onnx", "--shape", "x:3"), "expected NAME=D,D,..."),
        (("validate", "m.onnx", "--shape", "x=3,-1"), "expected NAME=D,D,..."),
        (("validate", "m.onnx", "--seed", "one"), "not a valid integer"),
        (("validate", "m.onnx", "--timeout", "0"), "not in the range"),
    ],
)
def test_a_wrong_call_is_a_usage_error_that_names_the_help(
    cli: Cli, arguments: tuple[str, ...], words: str
) -> None:
    """One line, exit code 2, and where to read on."""
    ran = cli(*arguments)
    ran.refused(2, words, "--help")


def test_without_a_verb_the_help_goes_to_stderr(cli: Cli) -> None:
    """`normonnx` alone is no success, and writes no result."""
    ran = cli()
    assert (ran.code, ran.out) == (2, "")
    assert "optimize" in ran.err


def test_help_and_version_are_results(cli: Cli) -> None:
    """They are asked for, so they go to stdout with exit code 0."""
    for arguments in (("--help",), ("-h",), ("optimize", "--help"), ("--version",)):
        ran = cli(*arguments)
        assert (ran.code, ran.err) == (0, "")
        assert "normonnx" in ran.out


def test_a_name_with_control_characters_is_shown_harmlessly(cli: Cli, models: Models) -> None:
    """A file name cannot drive the terminal, nor break the one line."""
    path = models.write("a\x1b[31m\nb.onnx", b"")
    ran = cli("inspect", path)
    ran.refused(5, "is empty")
    assert "\x1b" not in ran.err


def _break(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Put a verb that fails into the command line."""

    def fail() -> None:
        raise error

    def get_command(_: object, __: click.Context, name: str) -> click.Command:
        return click.Command(name, callback=fail)

    monkeypatch.setattr(verbs.LazyGroup, "get_command", get_command)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("two\nlines"), 2, "internal error: ValueError: two lines; this is a bug"),
        (RecursionError("too deep"), 2, "internal error: RecursionError"),
        (MemoryError(), 2, "out of memory"),
        (OSError(28, "No space left on device", "m.onnx"), 2, "m.onnx: No space left on device"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted"),
    ],
)
def test_whatever_escapes_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    words: str,
) -> None:
    """Bugs, full disks, lack of memory and Ctrl-C: no traceback, no code that blames the model."""
    _break(monkeypatch, error)
    assert main(["list"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_a_traceback_is_there_for_who_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--traceback shows where normonnx itself failed, and changes nothing else."""
    monkeypatch.setenv(verbs.TRACEBACK, "")
    _break(monkeypatch, ValueError("oops"))
    assert main(["--traceback", "list"]) == ExitCode.USAGE
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_a_closed_pipe_is_quiet() -> None:
    """`normonnx ... | head` ends as the shell expects, without a word on stderr."""
    process = subprocess.Popen(
        [sys.executable, "-m", "normonnx", "list", "norms"],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == NO_READER == 128 + signal.SIGPIPE


def test_a_full_stdout_is_an_error_not_a_success() -> None:
    """A result that could not be written is no result."""
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as stream:
        done = subprocess.run(
            [sys.executable, "-m", "normonnx", "list", "norms"],
            check=False,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            stderr=subprocess.PIPE,
            stdout=stream,
            text=True,
        )
    assert done.returncode == ExitCode.USAGE
    assert done.stderr == "normonnx: error: No space left on device\n"
