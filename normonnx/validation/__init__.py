"""Judging: inputs, error measures, the noise floor, and the verdict."""
