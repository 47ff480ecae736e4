"""The links of an ONNX graph: what reads and changes models stands on it."""
