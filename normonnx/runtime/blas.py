"""Threads of NumPy's matrix products.

Threads of OpenBLAS spin while they wait for one another. On few cores that others use as well, that
makes a matrix product several times slower than on one thread, which takes 1.5 s for a BERT-base.
"""

from __future__ import annotations

import functools
import os
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController

_FEW = 4  # cores


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()  # looks for the libraries once


def quietly() -> AbstractContextManager[object]:
    """Use one thread on a machine of few cores, a core each on larger ones."""
    cores = os.cpu_count() or 1
    return _controller().limit(limits=1 if cores <= _FEW else cores, user_api="blas")  # type: ignore[no-any-return]
