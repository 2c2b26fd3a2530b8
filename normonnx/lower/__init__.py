"""What a model is written in: other versions of ONNX's operators."""
