"""Small layer over onnx_ir: load and save, constants, naming, shapes."""
