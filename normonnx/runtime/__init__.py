"""What runs a model: the float64 oracle, and the backends that are judged against it."""
