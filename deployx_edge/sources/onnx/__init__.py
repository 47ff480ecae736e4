"""ONNX files, and what is made of one and asked of it."""
