"""The normalizations that normonnx knows."""
