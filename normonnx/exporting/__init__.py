"""Torch modules and fitted scalers as ONNX."""
