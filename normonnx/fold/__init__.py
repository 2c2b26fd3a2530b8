"""Folding per-channel affines (BatchNormalization above all) into linear operators.

A source is an operator that computes y = scale * x + shift with constants: `sources` says which.
An absorber is an operator that can take scale and shift into its own weights: the table
`planner.UP` lists them. The planner walks from a source up to an absorber, composes what lies
between in float64, and returns a `Plan` (edits as data) or a `Refusal` (a reason). `apply` makes a
plan's tensors, checks that they can be held in the tensors' own type, and only then changes the
model.
"""
