"""From a torch module to ONNX in which every normalization is one thing."""
