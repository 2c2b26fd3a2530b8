"""Regenerate the model behind `normonnx demo`, byte for byte.

    python tools/make_demo_model.py            # rewrite normonnx/cli/demo.onnx
    python tools/make_demo_model.py --check    # only compare: exit 1 if it would change

Run it from the repository root, with the torch version of the extra `test`; other versions write
the same network with other node names.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "normonnx" / "cli" / "demo.onnx"
_OPSET = 17
_LARGEST = 400_000


def make(path: Path) -> None:
    """Export the demo network: legacy exporter, BatchNorms kept, dynamic batch, opset 17."""
    sys.path.insert(0, str(ROOT))
    import torch  # heavy, and not needed for --help

    from models import NETWORKS  # importable once ROOT is on the path
    from models.exporters import export

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        export(NETWORKS["demo"](), path, "legacy", opset=_OPSET)
    finally:
        torch.set_num_threads(threads)
        sys.path.remove(str(ROOT))


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the model, or with --check compare it with the one in the package."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / DEMO.name
        make(fresh)
        content = fresh.read_bytes()
    if len(content) > _LARGEST:
        sys.stderr.write(f"the demo model has {len(content)} bytes; at most {_LARGEST} may ship\n")
        return 1
    if options.check:
        same = DEMO.is_file() and DEMO.read_bytes() == content
        sys.stdout.write(f"{DEMO.relative_to(ROOT)}: {'unchanged' if same else 'would change'}\n")
        return 0 if same else 1
    DEMO.write_bytes(content)
    sys.stdout.write(f"{DEMO.relative_to(ROOT)}: {len(content)} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
