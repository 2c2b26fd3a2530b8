"""`python -m normonnx`: the command line."""

import sys

from normonnx.cli.__main__ import main

sys.exit(main())
