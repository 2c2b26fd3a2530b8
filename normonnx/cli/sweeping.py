"""From `normonnx sweep VERB` to command lines of that verb: its options and their files.

A sweep takes the options of its verb except those that only make sense for one model. What is said
on the command line holds for every model; a manifest says it for one, and then replaces that.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Final, cast

import click
from click.core import ParameterSource

from normonnx.cli.tracing import INSIDE
from normonnx.core.errors import UsageError
from normonnx.sweep.discovery import Subject
from normonnx.sweep.executor import Attached, Output, Word
from normonnx.sweep.hashing import attached_files, attached_model

ENTRY: Final = "normonnx.cli.__main__:main"
# What the verbs import when they are called, the slow ones.
MODULES: Final = (
    "normonnx.catalogue.contents",
    "normonnx.cli.__main__",
    "normonnx.inspecting",
    "normonnx.pipeline",
    "normonnx.reporting.terminal",
    "normonnx.reporting.verdict_view",
    "normonnx.validation.judge",
)
_REWRITING: Final = (
    "target",
    "prefer",
    "opset",
    "keep",
    "keep_inputs",
    "verify",
    "style",
    "provenance",
)
# The options of each verb that a sweep hands on, by the names of their parameters.
PASSED: Final[Mapping[str, tuple[str, ...]]] = {
    "inspect": (),
    "optimize": _REWRITING,
    "lower": _REWRITING,
    "validate": (
        "against",
        "backends",
        "inputs",
        "profiles",
        "shapes",
        "seed",
        "factor",
        "rtol",
        "atol",
        "require_coverage",
        "no_locate",
    ),
}
WRITING: Final = ("optimize", "lower")
_COMPUTING: Final = (
    "numpy",
    "onnx",
    "onnx-ir",
    "onnx-shape-inference",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "openvino",
    "torch",
)
_FOREVER: Final = "1e9"  # seconds; the sweep's own limit holds for all of a model
_CARDS: Final = ("cuda", "tensorrt")


def verb_command(verb: str) -> click.Command:
    """The command of a verb by itself."""
    from normonnx.cli.verbs import VERBS

    module, _, name = VERBS[verb].partition(":")
    return cast("click.Command", getattr(import_module(module), name))


def passed_options(verb: str) -> list[click.Option]:
    """The options of a verb that a sweep takes as well."""
    return [
        param
        for param in verb_command(verb).params
        if isinstance(param, click.Option) and param.name in PASSED[verb]
    ]


@dataclass(frozen=True, slots=True)
class CommandLines:
    """Makes the command line of each model.

    Attributes:
        verb: What is run.
        given: Options that hold for every model, by the names of their parameters.
    """

    verb: str
    given: Mapping[str, Any]
    _options: dict[str, click.Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._options.update({str(one.name): one for one in passed_options(self.verb)})

    def words(self, subject: Subject) -> tuple[Word, ...]:
        """The command line for one model.

        Raises:
            UsageError: An option of its own, from a manifest, is none or has no such value.
        """
        own = self._own(subject)
        words: list[Word] = [self.verb, attached_model(subject.path)]
        if self.verb in WRITING:
            words += ["--output", Output(Path(subject.name).name)]
        if self.verb == "validate":
            words += ["--timeout", _FOREVER]
        for name, value in sorted({**self.given, **own}.items()):
            folder = subject.folder if name in own else Path.cwd()
            words += self._spelled(self._options[name], value, folder)
        return tuple(words)

    def gpus(self, subject: Subject) -> int:
        """How many graphics cards the command line of a model needs."""
        backends = {**self.given, **self._own(subject)}.get("backends", ())
        return int(any(card in backend for backend in backends for card in _CARDS))

    def check(self, subjects: Sequence[Subject]) -> None:
        """Look at the options of all models before any is worked on.

        Raises:
            UsageError: As `words`.
        """
        for subject in subjects:
            where = {**self.given, **self._own(subject)}.get("provenance", INSIDE)
            if where != INSIDE:
                message = f"--provenance {where} is one file; a sweep takes --provenance inside"
                raise UsageError(message)

    def _own(self, subject: Subject) -> dict[str, Any]:
        """Options of a model's own, as its verb reads them."""
        if not subject.options:
            return {}
        arguments = list(self._arguments(subject))
        command = verb_command(self.verb)
        try:
            context = command.make_context(self.verb, [*arguments, "--", str(subject.path)])
        except click.ClickException as error:
            message = f"{subject.place}: {error.format_message().rstrip('.')}"
            raise UsageError(message) from error
        return given_options(context, self._options)

    def _arguments(self, subject: Subject) -> Iterator[str]:
        spoken = {one.opts[-1].lstrip("-"): one for one in self._options.values()}
        for name, value in subject.options.items():
            option = spoken.get(name.replace("_", "-"))
            if option is None:
                known = ", ".join(sorted(spoken)) or "none"
                message = (
                    f"{subject.place}: {self.verb} has no option {name!r} for a model of a sweep; "
                    f"expected one of: {known}"
                )
                raise UsageError(message)
            values = value if isinstance(value, list) else [value]
            if option.is_flag:
                yield from [option.opts[-1]] if value else []
            else:
                yield from (word for one in values for word in (option.opts[-1], str(one)))

    def _spelled(self, option: click.Option, value: Any, folder: Path) -> Iterator[Word]:  # noqa: ANN401  # as many types as options
        if option.is_flag:
            yield from [option.opts[-1]] if value else []
            return
        for one in value if option.multiple else [value]:
            yield option.opts[-1]
            yield _word(str(option.name), one, folder)


def given_options(context: click.Context, among: Mapping[str, object]) -> dict[str, Any]:
    """The options that were said, not those that hold by default."""
    return {
        name: context.params[name]
        for name in among
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    }


def _word(name: str, value: Any, folder: Path) -> Word:  # noqa: ANN401  # as many types as options
    if name == "against":
        return attached_model(_absolute(folder / value))
    if name == "inputs":
        return _input(str(value), folder)
    if isinstance(value, tuple):  # a shape
        return f"{value[0]}={','.join(map(str, value[1]))}"
    return f"{value:.17g}" if isinstance(value, float) else str(value)


def _input(text: str, folder: Path) -> Word:
    """FILE, FOLDER or NAME=FILE; a name may itself hold an equals sign."""
    for start in (0, *(at + 1 for at, letter in enumerate(text) if letter == "=")):
        path = _absolute(folder / text[start:])
        if text[start:] and path.exists():
            found: Attached = attached_files(path, text[:start])
            return found
    return text


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # resolve() would follow links


def versions() -> dict[str, str]:
    """Versions of what results depend on, and a digest of the user's own cost tables."""
    found = {"python": ".".join(map(str, sys.version_info[:2]))}
    for name in _COMPUTING:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | _tables()


def _tables() -> dict[str, str]:
    from normonnx.lower import stored

    folder = stored.folder()
    tables = sorted(folder.glob("*.json")) if folder.is_dir() else []
    if not tables:
        return {}
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in tables)).hexdigest()
    return {"own cost tables": digest}
