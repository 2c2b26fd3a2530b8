"""The version of normonnx and the domain of its functions, in one place; the build reads it."""

VERSION = "0.1.0"
DOMAIN = "normonnx"
