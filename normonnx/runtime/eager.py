"""A torch module run here, in float64, on a copy; and what each of its submodules was given.

torch code often says float32 itself: `x.float()`, `dtype=torch.float32`. That is read as float64
here, so that nothing but the export itself can differ. In a process of its own the backend `torch`
does the same for modules that can be pickled; this one takes any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy.typing as npt
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from normonnx.core.copying import copied
from normonnx.runtime.engines.torch import as_array, as_tensor

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Array = npt.NDArray[Any]
Watch = Callable[[str, str, Sequence[Array], Sequence[Array]], None]
_NARROW: Final = (torch.float16, torch.bfloat16, torch.float32)
_TO_FLOAT: Final = ("float", "half", "bfloat16")


class _Wide(TorchFunctionMode):
    """Reads every narrower floating-point type that a call names as float64."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        self._epsilon = epsilon

    def __torch_function__(
        self,
        func: Any,  # noqa: ANN401  # torch's signature
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Called by torch for each of its functions."""
        del types
        wide = tuple(_widened(one) for one in args)
        named = {name: _widened(one) for name, one in (kwargs or {}).items()}
        name = getattr(func, "__name__", "")
        if name in _TO_FLOAT and len(wide) == 1 and isinstance(wide[0], torch.Tensor):
            return wide[0].to(torch.float64)
        if name == "rms_norm" and named.get("eps") is None and len(wide) < 4:  # noqa: PLR2004
            named["eps"] = self._epsilon  # by default that of the type that it is exported in
        return func(*wide, **named)


def _widened(found: Any) -> Any:  # noqa: ANN401
    return torch.float64 if isinstance(found, torch.dtype) and found in _NARROW else found


class Eager:
    """A module that is called as in an example.

    Attributes:
        wide: Whether it computes in float64.
        note: Why it doesn't, where it doesn't.
    """

    def __init__(
        self,
        module: nn.Module,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        *,
        training: bool = False,
    ) -> None:
        self._own = module
        self._call = args, dict(kwargs)
        self._training = training
        self.wide, self.note = True, ""
        epsilons = {torch.float64: torch.finfo(torch.float64).eps}
        self._epsilon = epsilons.get(_kind(module, args, kwargs), torch.finfo(torch.float32).eps)
        self._module = self._copy(wide=True)
        try:
            self.run(self.example)
        except Exception as error:  # noqa: BLE001  # the user's module
            self.wide = False
            self.note = f"it does not run in float64 ({str(error).strip().splitlines()[0][:200]})"
            self._module = self._copy(wide=False)

    def _copy(self, *, wide: bool) -> nn.Module:
        copy: nn.Module = copied(self._own)
        return copy.cpu().double() if wide else copy.cpu()

    @property
    def example(self) -> list[Array]:
        """The tensors of the example, in order."""
        leaves = pytree.tree_leaves(self._call)
        return [as_array(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]

    def run(self, feeds: Sequence[Array], watch: Watch | None = None) -> list[Array]:
        """The tensors that the module returns, in order.

        Args:
            feeds: The tensors that it is given, in the example's order.
            watch: Called after each submodule with its path, its class, and the arrays that it was
                given and gave.

        Raises:
            Exception: Whatever the module raises.
        """
        left = iter(feeds)

        def of(leaf: Any) -> Any:  # noqa: ANN401
            return as_tensor(next(left), wide=self.wide) if isinstance(leaf, torch.Tensor) else leaf

        args, kwargs = pytree.tree_map(of, self._call)
        with ExitStack() as stack:
            stack.enter_context(torch.no_grad())
            stack.enter_context(torch.random.fork_rng(devices=[]))
            if self.wide:
                stack.enter_context(_default_type(torch.float64))
                stack.enter_context(_Wide(self._epsilon))
            if watch is not None:
                stack.enter_context(_watched(self._module, watch))
            module = self._module if not self._training else copied(self._module)
            result = module(*args, **kwargs)
        leaves = pytree.tree_leaves(result)
        return [as_array(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _kind(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.dtype:
    tensors = [*module.parameters(), *pytree.tree_leaves((args, dict(kwargs)))]
    kinds = [x.dtype for x in tensors if isinstance(x, torch.Tensor) and x.is_floating_point()]
    return kinds[0] if kinds else torch.float32


@contextmanager
def _default_type(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _watched(module: nn.Module, watch: Watch) -> Iterator[None]:
    handles: list[RemovableHandle] = []

    def hook_of(path: str, kind: str) -> Callable[..., None]:
        def hook(_module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:  # noqa: ANN401
            watch(path, kind, _arrays((args, kwargs)), _arrays(result))

        return hook

    for path, each in module.named_modules():
        hook = hook_of(path, type(each).__name__)
        handles.append(each.register_forward_hook(hook, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _arrays(nested: Any) -> list[Array]:  # noqa: ANN401
    leaves = pytree.tree_leaves(nested)
    return [as_array(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]


def version() -> str:
    """Of torch."""
    return str(torch.__version__)
