"""What is done to an ONNX graph in memory. It knows no files."""
