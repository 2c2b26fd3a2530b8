"""How backends are named: FAMILY[:DEVICE][,OPTION=VALUE]...

- `ort:cpu`, `ort:cuda`, `ort:XnnpackExecutionProvider`: ONNX Runtime on one execution provider.
  Options are `level` (disabled, basic, extended, all: the graph optimization level, all unless
  given), `without` (graph optimizers to leave out: `without=GeluFusion+LayerNormFusion`), `threads`
  (1 unless given), and whatever the provider itself takes: `use_tf32=1`.
- `openvino`, `openvino:GPU`: OpenVINO's own runtime. Options: `precision` (f32 unless given),
  `threads`, and OpenVINO's properties by name.
- `torch:MODULE:FACTORY`: a torch module, made by calling FACTORY() of an importable MODULE. Option:
  `precision` (float64 unless given; `own` leaves the module as it is).
- `oracle`: the float64 truth. No options.

An option that would be ignored is refused: ONNX Runtime's CPU provider takes none of its own. Those
of other providers and OpenVINO's properties are left for the runtime to judge.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from normonnx.core.errors import UsageError

BACKENDS: Final[Mapping[str, str]] = {
    "ort:cpu": "ONNX Runtime, CPUExecutionProvider",
    "ort:cuda": "ONNX Runtime, CUDAExecutionProvider",
    "ort:tensorrt": "ONNX Runtime, TensorrtExecutionProvider",
    "ort:openvino": "ONNX Runtime, OpenVINOExecutionProvider",
    "ort:PROVIDER": "ONNX Runtime, any other execution provider by name",
    "openvino": "OpenVINO's own runtime on CPU; openvino:DEVICE for others",
    "torch:MODULE:FACTORY": "a torch module against its export",
    "oracle": "the model evaluated in float64",
}
INSTALL: Final[Mapping[str, str]] = {
    "ort:cpu": "pip install 'normonnx[cpu]'",
    "ort:cuda": "pip install 'normonnx[cuda]'",
    "ort:tensorrt": "pip install 'normonnx[cuda]' and TensorRT",
    "ort:openvino": "pip install onnxruntime-openvino",
    "openvino": "pip install 'normonnx[openvino]'",
    "torch": "pip install 'normonnx[torch]'",
}
LEVELS: Final[Mapping[str, str]] = {
    "disabled": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
LOWEST_LEVEL: Final = "disabled"
DEFAULT_LEVEL: Final = "all"
_MOST_THREADS: Final = 1024
_DEVICES: Final[Mapping[str, str]] = {"ort": "cpu", "openvino": "CPU", "oracle": "CPU"}
_CHOICES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "ort": {"level": tuple(LEVELS)},
    "openvino": {"precision": ("f32", "bf16", "f16")},
    "torch": {"precision": ("float64", "own")},
    "oracle": {},
}
# Every option of backends that take no others.
_CLOSED: Final[Mapping[str, tuple[str, ...]]] = {
    "ort:cpu": ("level", "threads", "without"),
    "ort:cpuexecutionprovider": ("level", "threads", "without"),
    "torch": ("precision", "threads"),
    "oracle": (),
}


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend's name, taken apart.

    Attributes:
        name: As it was given.
        family: What comes before the colon: "ort", "openvino", "torch", "oracle".
        device: Execution provider, device, or MODULE:FACTORY.
        options: Settings by name.
    """

    name: str
    family: str
    device: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether there is such a family at all; the oracle has no devices."""
        return self.family in _CHOICES and (self.family != "oracle" or self.device == "CPU")

    @property
    def runs_live(self) -> bool:
        """Whether it runs a torch module that is handed over, not one made by name."""
        return self.family == "torch" and not self.device

    @property
    def threads(self) -> int:
        """Number of threads; one gives the same result at each run."""
        return int(self.options.get("threads", "1"))

    @property
    def without(self) -> list[str]:
        """Graph optimizers that the runtime is told to leave out."""
        return [name.strip() for name in self.options.get("without", "").split("+") if name.strip()]

    def having(self, **options: str) -> str:
        """The name of the same backend with other options; an empty one is left out."""
        head = self.name.partition(",")[0].strip()
        found = {**self.options, **options}
        return ",".join([head, *(f"{key}={value}" for key, value in found.items() if value)])


def parse(name: str) -> Backend:
    """Take a backend's name apart.

    Raises:
        UsageError: An option has no value, or one that is not known.
    """
    head, *settings = name.split(",")
    family, _, device = head.strip().partition(":")
    found = Backend(
        name,
        family.lower(),
        device or _DEVICES.get(family.lower(), ""),
        dict(_option(name, setting) for setting in settings),
    )
    _check_known(found)
    for option, choices in _CHOICES.get(found.family, {}).items():
        value = found.options.get(option, choices[0])
        if value not in choices:
            message = f"backend {name!r}: {option} {value!r} is unknown; use {', '.join(choices)}"
            raise UsageError(message)
    if not found.options.get("threads", "1").isdecimal() or not 1 <= found.threads <= _MOST_THREADS:
        threads = found.options["threads"]
        message = (
            f"backend {name!r}: threads {threads!r} must be a number from 1 to {_MOST_THREADS}"
        )
        raise UsageError(message)
    return found


def close_to(name: str) -> str:
    """What to choose from instead of an unknown name."""
    near = difflib.get_close_matches(name.partition(",")[0].strip().lower(), BACKENDS, n=1)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(BACKENDS)}"


def _check_known(backend: Backend) -> None:
    exact = f"{backend.family}:{backend.device.lower()}"
    known = _CLOSED.get(exact, _CLOSED.get(backend.family))
    if known is None:
        return
    for option in backend.options:
        if option not in known:
            way_out = f"use {', '.join(known)}" if known else "it takes none"
            message = f"backend {backend.name!r}: there is no option {option!r}; {way_out}"
            raise UsageError(message)


def _option(name: str, setting: str) -> tuple[str, str]:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip() or not value.strip():
        message = f"backend {name!r}: {setting!r} is no option, expected NAME=VALUE"
        raise UsageError(message)
    return key.strip(), value.strip()
