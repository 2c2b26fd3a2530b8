"""How operators cross from one version to the next, a family to a file; `table` has all of them."""
