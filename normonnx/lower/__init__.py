"""What becomes of a normalization: which form, for which target, by what it costs there."""
