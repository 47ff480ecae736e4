"""Models as they come in, and the canonical ONNX that the runtimes are made from."""
