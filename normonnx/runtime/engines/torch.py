"""A torch module against its export: eager, and in float64 unless its own precision is asked for.

In float64 nothing but the export itself can differ, so the slightest wrong constant stands out.
Inputs go by name where they are the names of `forward`'s parameters, otherwise in order; whatever
tensors `forward` returns, nested or not, are the model's outputs in order.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from normonnx.core.errors import NormonnxError
from normonnx.graph import files
from normonnx.runtime.engines.contract import GivenUpError, Job, Loaded, first_line, unavailable
from normonnx.runtime.naming import INSTALL

if TYPE_CHECKING:
    import torch

_MISSING = f"torch is not installed; {INSTALL['torch']}"
_USE = "name it torch:MODULE:FACTORY, or give module= in Python"


def save(module: object, path: Path) -> None:
    """Write a live module to a file for the worker.

    Raises:
        GivenUpError: It can't be pickled.
    """
    try:
        import torch
    except ImportError:
        raise unavailable(_MISSING) from None
    try:
        torch.save(module, path)
    except Exception as error:  # noqa: BLE001  # whatever pickling raises
        reason = f"the module can't be handed to another process ({first_line(error)})"
        raise unavailable(f"{reason}; name it torch:MODULE:FACTORY instead") from None


def load(job: Job) -> Loaded:
    """Make the module.

    Raises:
        GivenUpError: torch is missing, or there is no such module or factory, or it fails.
    """
    try:
        import torch
    except ImportError:
        raise unavailable(_MISSING) from None

    sys.path += [path for path in (str(Path.cwd()), *job.paths) if path not in sys.path]
    module = _stored(job.module) if job.module is not None else _made(job.backend.device)
    if not isinstance(module, torch.nn.Module):
        raise unavailable(f"{_described(job)} is a {type(module).__name__}, no torch.nn.Module")
    notes = []
    if module.training:
        module.eval()
        notes.append("the module was in training mode and has been put into eval mode")
    own = job.backend.options.get("precision") == "own"
    torch.set_num_threads(job.backend.threads)
    module = module if own else module.double()
    inputs, outputs = _interface(job.model)
    return Loaded(
        lambda feeds: _run(module, inputs, outputs, feeds, wide=not own),
        asked="CPU",
        settings={
            "torch": str(torch.__version__),
            "precision": "own" if own else "float64",
            "threads": str(job.backend.threads),
        },
        notes=tuple(notes),
        wide=not own,
    )


def probe() -> dict[str, str]:
    """Whether torch is here, without the seconds that importing it takes.

    Raises:
        GivenUpError: torch is not installed.
    """
    try:
        return {"torch:MODULE:FACTORY": f"torch {metadata.version('torch')}"}
    except metadata.PackageNotFoundError:
        raise unavailable(_MISSING) from None


def _stored(path: Path) -> object:
    import torch

    try:
        return torch.load(path, weights_only=False)  # ours, written a moment ago
    except Exception as error:  # noqa: BLE001
        reason = f"the module can't be made again in another process: {first_line(error)}"
        raise unavailable(f"{reason}; define its class in a file that can be imported") from None


def _made(device: str) -> object:
    name, _, factory = device.partition(":")
    if not name or not factory:
        raise unavailable(f"there is no module to run; {_USE}")
    try:
        found: object = import_module(name)
        for part in factory.split("."):
            found = getattr(found, part)
        return found() if callable(found) and not _is_module(found) else found
    except Exception as error:  # noqa: BLE001  # the user's code
        kind = type(error).__name__
        raise unavailable(f"torch:{device} failed: {kind}: {first_line(error)}") from None


def _is_module(found: object) -> bool:
    import torch

    return isinstance(found, torch.nn.Module)


def _described(job: Job) -> str:
    return "module=" if job.module is not None else f"torch:{job.backend.device}"


def _interface(model: Path) -> tuple[list[str], list[str]]:
    """Names of a model's inputs and outputs, in order."""
    try:
        graph = files.load(model).graph
        return [one.name or "" for one in graph.inputs], [one.name or "" for one in graph.outputs]
    except NormonnxError as error:
        raise GivenUpError("invalid", first_line(error)) from None


def _run(
    module: torch.nn.Module,
    inputs: Sequence[str],
    names: Sequence[str],
    feeds: Mapping[str, Any],
    *,
    wide: bool,
) -> dict[str, Any]:
    import torch

    try:
        given = {name: as_tensor(feeds[name], wide=wide) for name in inputs if name in feeds}
        known = _named(module)
        with torch.no_grad():
            by_name = all(name in known for name in given)
            result = module(**given) if by_name else module(*given.values())
        found = [as_array(tensor) for tensor in _tensors(result)]
    except Exception as error:  # noqa: BLE001
        hint = "; add ,precision=own to its name" if wide else ""
        raise unavailable(f"failed while running: {first_line(error)}{hint}") from None
    if len(found) != len(names):
        reason = f"the module returns {len(found)} tensors, the model has {len(names)} outputs"
        raise unavailable(reason)
    return dict(zip(names, found, strict=True))


def _named(module: torch.nn.Module) -> set[str]:
    """Parameters of `forward` that may be given by name."""
    one = inspect.Parameter
    kinds = (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
    found = inspect.signature(module.forward).parameters
    return {name for name, parameter in found.items() if parameter.kind in kinds}


def as_tensor(array: Any, *, wide: bool) -> torch.Tensor:  # noqa: ANN401
    """An array as a tensor, in float64 where it is wide and floating-point."""
    import numpy as np
    import torch

    if array.dtype.isbuiltin == 2:  # noqa: PLR2004  # of ml_dtypes: pass through float32
        name = array.dtype.name
        found = torch.from_numpy(array.astype(np.float32))
        return found.double() if wide else found.to(getattr(torch, name))
    found = torch.from_numpy(np.array(array))
    return found.double() if wide and found.is_floating_point() else found


def as_array(tensor: torch.Tensor) -> Any:  # noqa: ANN401
    """A tensor as an array of its own type."""
    import ml_dtypes

    found = tensor.detach().cpu()
    name = str(found.dtype).removeprefix("torch.")
    if name == "bfloat16" or name.startswith("float8"):
        return found.float().numpy().astype(getattr(ml_dtypes, name))
    return found.resolve_conj().resolve_neg().numpy()


def _tensors(result: object) -> Iterator[torch.Tensor]:
    """The tensors of a result in order: nested tuples, lists, mappings and dataclasses."""
    import torch

    if isinstance(result, torch.Tensor):
        yield result
    elif isinstance(result, Mapping):
        for value in result.values():
            yield from _tensors(value)
    elif isinstance(result, Sequence) and not isinstance(result, str):
        for value in result:
            yield from _tensors(value)
    elif dataclasses.is_dataclass(result) and not isinstance(result, type):
        for field in dataclasses.fields(result):
            yield from _tensors(getattr(result, field.name))
