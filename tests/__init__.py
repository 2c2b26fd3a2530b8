"""Tests of normonnx. A package, so that no other one of that name can take its place."""
