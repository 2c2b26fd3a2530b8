"""Settings for every test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread a worker: libraries that each start a thread a core only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# No table that somebody measured on this machine may change what is chosen.
os.environ["NORMONNX_COSTS"] = str(Path(tempfile.gettempdir()) / "normonnx-tests-no-costs")
