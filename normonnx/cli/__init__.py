"""The command line, one thin file per verb. With normonnx/__init__.py it wires the rooms."""
