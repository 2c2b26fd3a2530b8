"""Folding per-channel affines (BatchNormalization above all) into the operators around them.

A source is an operator that computes y = scale * x + shift with constants: `sources` says which.
Every other operator absorbs an affine into its own weights, carries it, or refuses: the tables in
`tables` list a handler for each, upwards and downwards, one file for each family of operators. The
planner walks from a source to absorbers, composes what lies between in float64, and returns a
`Plan` (edits as data) or a `Refusal` (a reason). `apply` makes a plan's tensors, checks that they
can be held in the tensors' own type, and only then changes the model.

Linear operators become one by the same plans: branches of one input that are summed (`parallel_*`,
over a `sum_tree`), operators in a row (`sequential_*`), `views` that undo one another. Their
weights are a `combination` of the old ones. `rules` runs them all.
"""
