"""normonnx beside the tools that people use today, on the reference networks and on any models.

    pip install ".[cpu,openvino,bench]"
    python tools/benchmark_peers.py [NAME | MODEL.onnx]... [--cache FOLDER] [--out FOLDER]
        [--peers NAME,...] [--rounds 6] [--budget 30] [--seconds 8] [--sessions 6]
        [--timeout 120] [--clock cpu|wall] [--batch 1] [--sizes points=1024] [--again MODEL]
        [--render] [--readme README.md]

NAME is a network of models/, NAME:EXPORTER with another exporter than torch's legacy one. It is
taken from the cache, or exported there, which needs torch. Without any, those of the README.

Each peer optimizes each model in a process of its own, in turns with the others, with a limit on
time. Each result is judged: does it load, is it the same function in float64, what error does it
have on the runtime, what normalizations are left in it. Those that are right run in turns on ONNX
Runtime at ENABLE_ALL, one thread, beside the original in a plain session, which runs twice in each
round (A/A). OpenVINO compiles the original and runs it itself. By default times are those of the
processor, so that others who use the machine change little.

It writes peers.json, peers.md and two charts, model by model: what was cut off goes on where it
was. --render writes them anew from peers.json alone; --readme puts the summary into a document,
between two marks.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from normonnx.core.errors import NormonnxError
from normonnx.core.version import VERSION
from normonnx.reporting import documents
from normonnx.runtime.machine import cores, processor
from tools.benchmark_latency import shapes_of
from tools.peers import charts, tables
from tools.peers.contenders import PEERS
from tools.peers.crew import Crew
from tools.peers.figures import CLOCKS, Figures, of_plain
from tools.peers.measuring import Wanted, measure

ROOT: Final = Path(__file__).parents[1]
DEFAULT: Final = (
    "demo", "mlp", "pointnet_linear", "mobilenet_v2", "levit:dynamo-raw", "convnext_v2:dynamo-raw",
    "repvgg", "densenet121", "bert_small:dynamo-raw", "resnet50",
)  # fmt: skip
_SCHEMA: Final = "normonnx.peers/1"
_EXPORTER: Final = "legacy"
_JSON: Final = "peers.json"
_TABLES: Final = "peers.md"


def located(name: str, cache: Path) -> Path:
    """The file of a model: a path, or a network, which is exported into the cache if need be.

    Raises:
        SystemExit: There is none, and no torch to export it with.
    """
    if name.endswith(".onnx"):
        if not Path(name).exists():
            message = f"there is no file {name}"
            raise SystemExit(message)
        return Path(name)
    network, _, exporter = name.partition(":")
    path = cache / f"{network}__{exporter or _EXPORTER}.onnx"
    if not path.exists():
        _export(network, exporter or _EXPORTER, path)
    return path


def _export(network: str, exporter: str, path: Path) -> None:
    from models import NETWORKS

    if network not in NETWORKS:
        message = f"there is no network {network!r}; choose from {', '.join(NETWORKS)}"
        raise SystemExit(message)
    try:
        from models import exporters
    except ImportError:
        message = (
            f"{path} is not there, and torch is not installed; write it elsewhere, with "
            f"python -m models {network} --exporter {exporter} -o {path}"
        )
        raise SystemExit(message) from None
    if exporter not in exporters.EXPORTERS:
        message = f"there is no exporter {exporter!r}; use {', '.join(exporters.EXPORTERS)}"
        raise SystemExit(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    exporters.export(network, path, exporter)


def versions() -> dict[str, str]:
    """Of all that takes part."""
    names = {name for peer in PEERS.values() for name in peer.packages} | {"onnx", "onnx-ir"}
    found = {"normonnx": VERSION}
    for name in sorted(names):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found | {"Python": platform.python_version()}


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"schema": _SCHEMA, "models": []}
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if found.get("schema") != _SCHEMA:
        message = f"{path} has schema {found.get('schema')!r}, expected {_SCHEMA!r}; remove it"
        raise SystemExit(message)
    return found


def render(found: Mapping[str, Any], out: Path, readme: Path | None) -> None:
    """Write tables and charts, and the summary into a document."""
    models = [of_plain(one) for one in found["models"]]
    charts.draw(models, out)
    parts = [f"# Peers\n\n{tables.circumstances(found)}\n\n{summary(models)}"]
    parts += [f"## {one.name}\n\n{tables.full(one)}" for one in models]
    (out / _TABLES).write_text("\n\n".join(parts) + "\n", "utf-8")
    if readme is not None:
        block = "\n\n".join((tables.circumstances(found), summary(models)))
        readme.write_text(tables.replaced(readme.read_text("utf-8"), block), "utf-8")


def summary(models: Sequence[Figures]) -> str:
    """Speedups, and where normonnx stands."""
    parts = [tables.speedups(models), tables.places(models)]
    said = list(tables.better(models))
    if said:
        parts.append("Where a peer is better:\n\n" + "\n".join(said))
    return "\n\n".join(parts)


def _measured(
    names: Sequence[str], options: argparse.Namespace, wanted: Wanted, found: dict[str, Any]
) -> None:
    """Measure what is not there yet, and write it down model by model."""
    done = {one["name"] for one in found["models"]}
    peers = list(PEERS) if options.peers is None else options.peers.split(",")
    sizes = {name: int(size) for name, size in (one.split("=") for one in options.sizes)}
    with Crew(peers) as crew, tempfile.TemporaryDirectory(prefix="peers-") as folder:
        for name, missing in crew.missing.items():
            print(f"{name} is not installed and left out: {missing}", flush=True)
        found["missing"] = dict(crew.missing)
        for name in names:
            shown = Path(name).stem if name.endswith(".onnx") else name
            if shown in done:
                continue
            path = located(name, options.cache)
            shapes = shapes_of(path, options.batch, sizes)
            place = Path(folder) / str(len(found["models"]))
            place.mkdir()
            print(f"{shown}", flush=True)
            try:
                one = measure((shown, path), shapes, place, crew, wanted, _tell)
            except NormonnxError as error:
                print(f"  left out: {error}", flush=True)
                continue
            found["models"].append(documents.plain(one))
            (options.out / _JSON).write_text(json.dumps(found, indent=1) + "\n", "utf-8")
            for leftover in place.iterdir():
                leftover.unlink()


def _tell(what: str) -> None:
    print(f"  {what}", flush=True)


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Wanted()
    parser.add_argument("models", nargs="*", metavar="NAME|MODEL.onnx")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "peers")
    parser.add_argument("--out", type=Path, default=ROOT / "tools" / "peers" / "results")
    parser.add_argument("--peers", metavar="NAME,...", help=f"of {', '.join(PEERS)}")
    parser.add_argument("--rounds", type=int, default=default.rounds)
    parser.add_argument("--budget", type=float, default=default.budget)
    parser.add_argument("--seconds", type=float, default=default.seconds)
    parser.add_argument("--sessions", type=int, default=default.sessions)
    parser.add_argument("--timeout", type=float, default=default.timeout)
    parser.add_argument("--clock", choices=CLOCKS, default=default.clock)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--sizes", nargs="*", default=["points=1024"], metavar="NAME=N")
    parser.add_argument("--again", action="append", default=[], metavar="NAME")
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--render", action="store_true")
    options = parser.parse_args(arguments)
    unknown = set((options.peers or "").split(",")) - {*PEERS, ""}
    if unknown:
        parser.error(f"there is no peer {', '.join(sorted(unknown))}; use {', '.join(PEERS)}")
    if options.peers and "normonnx" not in options.peers.split(","):
        parser.error("--peers must hold normonnx, which the others are held against")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write tables and charts."""
    options = _parsed(arguments)
    logging.getLogger("onnx_shape_inference").setLevel(logging.ERROR)  # peers' own operators
    options.out.mkdir(parents=True, exist_ok=True)
    found = _read(options.out / _JSON)
    found["models"] = [one for one in found["models"] if one["name"] not in options.again]
    if not options.render:
        wanted = Wanted(
            options.rounds,
            options.budget,
            options.seconds,
            options.sessions,
            options.timeout,
            options.clock,
        )
        found |= {
            "command": shlex.join(["python", "tools/benchmark_peers.py", *_shown(options)]),
            "machine": {"processor": processor(), "cores": str(cores())},
            "versions": versions(),
            "wanted": documents.plain(wanted),
        }
        _measured(options.models or DEFAULT, options, wanted, found)
    render(found, options.out, options.readme)
    print(f"{options.out / _TABLES} written")


def _shown(options: argparse.Namespace) -> list[str]:
    """The command as others can repeat it: models by name, and what was chosen."""
    names = [Path(name).name if name.endswith(".onnx") else name for name in options.models]
    default = Wanted()
    chosen = [
        part
        for name in ("rounds", "budget", "seconds", "sessions", "timeout", "clock")
        if getattr(options, name) != getattr(default, name)
        for part in (f"--{name}", str(getattr(options, name)))
    ]
    return [*names, *chosen]


if __name__ == "__main__":
    main()
