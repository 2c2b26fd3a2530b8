"""What a normalization is: its inputs and attributes, its formula, its forms, what to say about it.

A file of this folder defines one normalization as one `Norm`. Its formula lives there twice and
nowhere else: as `formula`, in float64 with numpy, which judges; and as `forms`, which write it as
ONNX. The oracle, recognition, export and documentation read both from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from normonnx.catalogue.form import Form as Form  # noqa: PLC0414
from normonnx.core.errors import UsageError
from normonnx.core.regions import Region as Region  # noqa: PLC0414  # the files of this room
from normonnx.core.regions import Share as Share  # noqa: PLC0414  # have all from here
from normonnx.core.version import DOMAIN as DOMAIN  # noqa: PLC0414

if TYPE_CHECKING:
    from normonnx.catalogue.call import NormCall

Array = npt.NDArray[Any]
Number = int | float | tuple[int, ...]
Dim = int | str | None
Integer = int  # methods below hide the types' own names
Integers = list[int]
Floating = float
Floats = list[float]
FUNCTIONS_SINCE: Final = 13  # lowest opset of the functions: ReduceSum takes axes as an input
ONNX_EPSILON: Final = float(np.float32(1e-5))  # what ONNX's operators add where nothing is said
FLOAT, DOUBLE = int(ir.DataType.FLOAT), int(ir.DataType.DOUBLE)


class Extent(Enum):
    """Along what a parameter runs. A length of 1 stands for the same number everywhere."""

    CHANNELS = "C, the size of axis 1"
    FEATURES = "the size of the last axis"
    TRAILING = "the sizes from `axis` on, or what broadcasts to them"
    ALONG_AXIS = "the size of `axis`"
    SAMPLE_CHANNELS = "(N, C): one row for each sample, one number for each channel"
    SAMPLE_FEATURES = "(N, D): one row for each sample, one number for each feature"
    ONE = "1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """An input besides X.

    Attributes:
        name: As ONNX or the layer names it.
        extent: Along what it runs.
        meaning: What it is, for documentation.
        default: What stands for one left out; None where it may not be.
        statistic: Whether it was measured on training data, so that it must be finite.
        positive: Whether it must be greater than 0; a divisor, say.
    """

    name: str
    extent: Extent
    meaning: str
    default: float | None = None
    statistic: bool = False
    positive: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """A number known when the model is made.

    Attributes:
        name: As ONNX or the layer names it.
        kind: Its ONNX type.
        default: None where it must be given.
        meaning: What it is, for documentation.
        least: Smallest legal value.
        choices: Names that stand for values; with `closed` no other value is legal.
        closed: Whether only `choices` are legal.
    """

    name: str
    kind: ir.AttributeType
    default: Number | None
    meaning: str
    least: Floating | None = None
    choices: Mapping[str, Number] = field(default_factory=dict)
    closed: bool = False

    @classmethod
    def float(
        cls, name: str, default: Floating | None, meaning: str, **more: Any
    ) -> Attribute:  # fields of the class
        """A floating-point number; ONNX keeps it in float32."""
        return cls(name, ir.AttributeType.FLOAT, default, meaning, **more)

    @classmethod
    def int(
        cls, name: str, default: Integer | None, meaning: str, **more: Any
    ) -> Attribute:  # fields of the class
        """A whole number."""
        return cls(name, ir.AttributeType.INT, default, meaning, **more)

    @classmethod
    def ints(cls, name: str, default: tuple[Integer, ...], meaning: str) -> Attribute:
        """A list of whole numbers."""
        return cls(name, ir.AttributeType.INTS, default, meaning)


def epsilon(default: float | None = 1e-5, *, to: str = "the variance") -> Attribute:
    """What is added so that nothing is divided by zero."""
    return Attribute.float("epsilon", default, f"added to {to}", least=0.0)


def stash_type(default: int = FLOAT) -> Attribute:
    """The type that everything is computed in."""
    return Attribute.int(
        "stash_type",
        default,
        "type computed in, as in TensorProto: 1 float32, 11 float64; never narrower than X's own",
        choices={"float32": FLOAT, "float64": DOUBLE},
        closed=True,
    )


class Operator(Protocol):
    """What a reader may ask of an ONNX node."""

    @property
    def version(self) -> Integer:
        """Version of the operator set that it is written in."""

    @property
    def outputs(self) -> Integer:
        """How many outputs it declares, up to the last that has a name."""

    def int(self, name: str, default: Integer) -> Integer:
        """An integer attribute."""

    def float(self, name: str, default: Floating) -> Floating:
        """A floating-point attribute."""

    def text(self, name: str, default: str) -> str:
        """A string attribute."""

    def ints(self, name: str) -> Integers | None:
        """A list attribute; None when absent."""

    def floats(self, name: str) -> Floats | None:
        """A list attribute; None when absent."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What an ONNX node asks of a normalization.

    Attributes:
        norm: Name of the normalization.
        parameters: By name; left out where the node leaves them out.
        attributes: By name.
        extra: How many outputs besides the first the node wants.
    """

    norm: str
    parameters: Mapping[str, Array]
    attributes: Mapping[str, Number]
    extra: int = 0


Reader = Callable[[Operator, Sequence[Array | None]], Reading]
Counterpart = Callable[[Any, Sequence[Dim]], "tuple[str, dict[str, Any]]"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Norm:
    """A normalization.

    Attributes:
        name: Name of its ONNX function, too.
        aliases: Other names of the field; operators and layers are added by themselves.
        parameters: Inputs besides X, in order.
        attributes: What is known when the model is made.
        outputs: Names; the first is the result.
        formula: `formula(x, *parameters, **attributes)` in float64, without checks.
        forms: Equivalent subgraphs; the first that is generic is the function's body.
        equation: The formula as text.
        region: What enters a statistic.
        source: The paper, or the specification.
        use: What it is good for.
        min_rank: Least rank of X.
        centered: Whether it subtracts a mean of X, so that it doesn't change with X's mean.
        alternatives: Attributes of the ONNX operator that, where they are not 0, make it another
            normalization.
        check: More that must hold of a call; raises UsageError.
        check_data: What must hold of X's numbers, at run time; the reference raises UsageError.
        readers: The ONNX operators that are this normalization, and how to read each.
        fused: Operators of other domains that are it and something more, by domain and name.
        layers: The torch or scikit-learn classes, by qualified name, and how to read each.
    """

    name: str
    parameters: tuple[Parameter, ...]
    attributes: tuple[Attribute, ...]
    formula: Callable[..., Array | tuple[Array, ...]]
    forms: tuple[Form, ...]
    equation: str
    region: Region
    source: str
    use: str
    aliases: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("Y",)
    min_rank: int = 2
    centered: bool = False
    alternatives: Mapping[str, Norm] = field(default_factory=dict)
    check: Callable[[NormCall], None] = lambda _call: None
    check_data: Callable[[NormCall, Array], None] = lambda _call, _x: None
    readers: Mapping[tuple[str, str], Reader] = field(default_factory=dict)
    fused: tuple[tuple[str, str], ...] = ()
    layers: Mapping[str, Counterpart] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<normonnx.norms[{self.name!r}]: {self.equation}>"

    @property
    def body(self) -> Form:
        """The form that the ONNX function `normonnx::NAME` is made of."""
        return next(form for form in self.forms if form.generic)

    def form(self, name: str) -> Form:
        """One of the forms; "function" is a call of the ONNX function.

        Raises:
            UsageError: There is none of that name.
        """
        for form in self.forms:
            if form.name == name:
                return form
        names = ", ".join(form.name for form in self.forms)
        message = f"{self.name} has no form {name!r}; it has: function, {names}"
        raise UsageError(message)

    def define(
        self,
        shape: Sequence[Dim],
        dtype: npt.DTypeLike = np.float32,
        **given: Any,  # arrays for parameters, numbers for attributes
    ) -> NormCall:
        """One use of the normalization, checked.

        Args:
            shape: Of X; a name or None for a size that is not known.
            dtype: Of X: float16, bfloat16, float32 or float64.
            given: Parameters and attributes by name. A parameter is an array, or a shape (a tuple)
                where it is an input at run time.

        Raises:
            UsageError: What was given is no legal use; the message has the value found and the
                value expected.
        """
        from normonnx.catalogue.call import NormCall

        return NormCall.of(self, shape, dtype, given)

    def reference(
        self, x: npt.ArrayLike, *parameters: npt.ArrayLike | None, **given: Any
    ) -> Any:  # an array, or a tuple of them
        """The normalization in float64: the truth that forms and runtimes are judged by.

        Args:
            x: The input, of a floating-point type.
            parameters: In the order of `self.parameters`; None for one left out.
            given: Parameters and attributes by name.

        Returns:
            Y, float64, of x's shape; a tuple of all outputs where there are several and `given`
            has `outputs=N`.

        Raises:
            UsageError: As `define`; also where x divides by zero: its variance is 0 and epsilon,
                too.
        """
        from normonnx.catalogue.call import reference

        return reference(self, x, parameters, given)

    def function(self, opset: int) -> ir.Function:
        """The ONNX function `normonnx::NAME`, for models of that opset.

        Raises:
            UsageError: The opset is below 13.
        """
        from normonnx.catalogue.emitting import function

        return function(self, opset)
