"""A normalization of the catalogue as what there is to say about it."""

from __future__ import annotations

from normonnx.catalogue.norm import Norm
from normonnx.core.explanations import (
    AttributeExplained,
    FormExplained,
    InputExplained,
    NormExplained,
)


def explained(norm: Norm) -> NormExplained:
    """Everything that documentation says about `norm`."""
    return NormExplained(
        name=norm.name,
        aliases=norm.aliases,
        equation=norm.equation,
        region=norm.region,
        centered=norm.centered,
        inputs=tuple(
            InputExplained(each.name, each.extent.value, each.default, each.meaning)
            for each in norm.parameters
        ),
        outputs=norm.outputs,
        attributes=tuple(
            AttributeExplained(
                each.name, each.kind.name, each.default, each.meaning, dict(each.choices)
            )
            for each in norm.attributes
        ),
        forms=tuple(
            FormExplained(
                name=form.name,
                since=form.since,
                until=form.until,
                native=form.native,
                body=form is norm.body,
                centered=form.centered,
                operators=form.operators,
                caveat=form.caveat,
            )
            for form in norm.forms
        ),
        operators=tuple(
            f"{domain}::{op_type}" if domain else op_type for domain, op_type in norm.readers
        ),
        layers=tuple(norm.layers),
        use=norm.use,
        source=norm.source,
    )
