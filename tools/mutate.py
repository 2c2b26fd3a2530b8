"""Mutation testing: do the tests notice when a small mistake is made in the code?

    python tools/mutate.py normonnx/fold --sample 200 --seed 1 [--json OUT]
    python tools/mutate.py normonnx/fold --again OUT      # what survived then, once more

Mutants (see `mutation.mutants`) are drawn at random, as many from a file as it has, or with
`--each` so many from each file. One is caught when a test that reaches it fails or never ends. The
tests are those of the same room (tests/unit/ROOM), and with them whatever `--tests` names. What
survives is printed; what can't be caught, as it changes nothing that anybody could see, is listed
with the reason in `mutation/equivalent.toml`, and told apart.

Exit codes: 0, whatever survives; 1 where fewer than `--at-least` percent are caught; 2 for bad use.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import json
import os
import random
import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tools.mutation.mutants import Mutant
    from tools.mutation.trials import Verdict

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "tools/mutation/equivalent.toml"
_COPIED = ("normonnx", "tests", "models", "tools", "pyproject.toml", "README.md", "CHANGELOG.md")
Key = tuple[str, str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    options = _parser().parse_args(arguments)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    files = _files(options.paths)
    if not files:
        print(f"no Python files in {', '.join(options.paths)}", file=sys.stderr)
        return 2
    mutants = _drawn(files, options)
    print(f"{len(mutants)} mutants of {len(files)} files", file=sys.stderr)
    found = _judged(mutants, files, options)
    figures = _figures(found, _known())
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")
    _tell(figures)
    return 0 if figures["caught_percent_proven"] >= options.at_least else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Verbatim)
    parser.add_argument("paths", nargs="+", help="files or folders of the package to mutate")
    parser.add_argument("--sample", type=int, help="number of mutants drawn; all without it")
    parser.add_argument("--each", type=int, help="number of mutants drawn from each file")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--again", help="a JSON file: only what survived there")
    parser.add_argument("--tests", nargs="*", default=[], help="more files or folders of tests")
    parser.add_argument("--without", nargs="*", default=[], help="files of tests not to run")
    parser.add_argument("--at-least", type=float, default=0.0, help="percent to be caught")
    parser.add_argument("--json", help="file to write figures and survivors to")
    return parser


class _Verbatim(argparse.RawDescriptionHelpFormatter):
    """Help with the module's own lines."""


def _files(paths: Sequence[str]) -> list[str]:
    found: list[Path] = []
    for path in paths:
        place = ROOT / path
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return [str(path.relative_to(ROOT)) for path in found if path.exists()]


def _drawn(files: Sequence[str], options: argparse.Namespace) -> list[Mutant]:
    """The mutants asked for, in an order of their own that depends on the seed alone."""
    from tools.mutation.mutants import mutants_of

    by_file = [mutants_of(name, _source(name)) for name in files]
    draw = random.Random(options.seed)  # noqa: S311  # not for secrets
    if options.each is not None:
        by_file = [draw.sample(found, min(options.each, len(found))) for found in by_file]
    mutants = [mutant for found in by_file for mutant in found]
    if options.again:
        survivors = json.loads(Path(options.again).read_text())["survivors"]
        keys = {_key_of(survivor) for survivor in survivors}
        return [mutant for mutant in mutants if _key(mutant) in keys]
    if options.sample is not None:
        mutants = draw.sample(mutants, min(options.sample, len(mutants)))
    return mutants


def _judged(
    mutants: Sequence[Mutant], files: Sequence[str], options: argparse.Namespace
) -> list[Verdict]:
    from tools.mutation.trials import Trials, copy_of

    with copy_of(ROOT, _COPIED) as tree:
        trials = Trials(tree, files, tree / "log.txt")
        trials.record(_tests(files, options))
        reached = sum(bool(trials.reach.of(mutant)) for mutant in mutants)
        print(f"{len(trials.reach.seconds)} tests, {reached} mutants reached", file=sys.stderr)
        found = []
        for count, mutant in enumerate(mutants, start=1):
            verdict = trials.verdict(mutant)
            found.append(verdict)
            if count % 20 == 0:
                print(f"{count} done", file=sys.stderr)
            if not verdict.is_caught:
                print(_described(verdict), flush=True)
        return found


def _tests(files: Sequence[str], options: argparse.Namespace) -> list[str]:
    """Files of tests: the room's own, and those that were named."""
    rooms = {"/".join(Path(name).parts[1:-1]) for name in files}
    folders = [f"tests/unit/{room}" for room in sorted(rooms)] + list(options.tests)
    found: list[str] = []
    for folder in folders:
        place = ROOT / folder
        paths = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
        found += [str(path.relative_to(ROOT)) for path in paths if path.exists()]
    return [name for name in dict.fromkeys(found) if name not in options.without]


@functools.cache
def _source(path: str) -> str:
    """A file as it was when it was asked for first."""
    return (ROOT / path).read_text()


def _difference(mutant: Mutant) -> str:
    source = _source(mutant.path)
    lines = difflib.unified_diff(
        source.splitlines(), mutant.applied(source).splitlines(), lineterm="", n=0
    )
    return "\n".join(line for line in list(lines)[2:] if not line.startswith("@@"))


def _key(mutant: Mutant) -> Key:
    """A name for a mutant that holds as long as its own lines stay the same."""
    return mutant.path, mutant.kind, _difference(mutant)


def _key_of(entry: Mapping[str, Any]) -> Key:
    return str(entry["path"]), str(entry["kind"]), str(entry["diff"]).strip("\n")


def _described(verdict: Verdict) -> str:
    mutant = verdict.mutant
    head = f"{verdict.fate}: {mutant.path}:{mutant.line} {mutant.kind} ({verdict.tests} tests)"
    return f"{head}\n{_difference(mutant)}\n"


def _known() -> dict[Key, str]:
    """The mutants that change nothing, each with the reason."""
    if not EQUIVALENT.exists():
        return {}
    entries = tomllib.loads(EQUIVALENT.read_text()).get("mutant", [])
    return {_key_of(entry): str(entry["why"]) for entry in entries}


def _figures(verdicts: Sequence[Verdict], known: Mapping[Key, str]) -> dict[str, Any]:
    caught = [verdict for verdict in verdicts if verdict.is_caught]
    lived = [verdict for verdict in verdicts if not verdict.is_caught]
    open_ = [verdict for verdict in lived if _key(verdict.mutant) not in known]
    kinds = Counter(verdict.mutant.kind for verdict in verdicts)
    paths = Counter(verdict.mutant.path for verdict in verdicts)

    def percent(survivors: Sequence[Verdict]) -> float:
        total = len(caught) + len(survivors)
        return round(100.0 * len(caught) / total, 1) if total else 100.0

    return {
        "mutants": len(verdicts),
        "caught": len(caught),
        "hung": sum(verdict.fate == "hung" for verdict in verdicts),
        "survived": len(lived),
        "equivalent": len(lived) - len(open_),
        "caught_percent": percent(lived),
        "caught_percent_proven": percent(open_),
        "seconds": round(sum(verdict.seconds for verdict in verdicts)),
        "kinds": {k: [kinds[k], sum(v.mutant.kind == k for v in lived)] for k in sorted(kinds)},
        "files": {p: [paths[p], sum(v.mutant.path == p for v in lived)] for p in sorted(paths)},
        "survivors": [_entry(verdict, known) for verdict in lived],
    }


def _entry(verdict: Verdict, known: Mapping[Key, str]) -> dict[str, Any]:
    mutant = verdict.mutant
    return {
        "path": mutant.path,
        "line": mutant.line,
        "kind": mutant.kind,
        "fate": verdict.fate,
        "diff": _difference(mutant),
        "equivalent": known.get(_key(mutant)),
    }


def _tell(figures: Mapping[str, Any]) -> None:
    print(
        f"{figures['caught']} of {figures['mutants']} mutants caught ({figures['hung']} of them by "
        f"hanging): {figures['caught_percent']} %; without {figures['equivalent']} that change "
        f"nothing {figures['caught_percent_proven']} %; {figures['seconds']} s"
    )


if __name__ == "__main__":
    raise SystemExit(main())
