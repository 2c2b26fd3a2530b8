"""`python -m models NAME --exporter legacy -o OUT.onnx`: write a reference network as ONNX."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from models import NETWORKS
from models.exporters import EXPORTERS, export


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, export one network, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m models", description=__doc__)
    parser.add_argument("name", metavar="NAME", choices=NETWORKS, help=", ".join(NETWORKS))
    parser.add_argument("--exporter", choices=EXPORTERS, default="legacy")
    parser.add_argument("--opset", type=int, help="18 for dynamo, 13 for legacy unless given")
    parser.add_argument("--size", choices=("test", "full"), default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")
    options = parser.parse_args(arguments)
    network = NETWORKS[options.name](size=options.size, seed=options.seed)
    export(network, options.output, options.exporter, opset=options.opset)
    norms = "".join(f", {count} {kind}s" for kind, count in network.norms.items())
    sys.stdout.write(
        f"{options.output}: {network.name}, {network.parameters:,} parameters{norms}\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
