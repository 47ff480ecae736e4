"""The converter of our own: ONNX to ncnn's files, with the names of nodes and tensors kept.

``graph`` is what is read, ``graph_builder`` what is written, ``axes`` how ONNX axes become ncnn's
dimensions; one file an operator family says what each ONNX operator becomes.
"""

from deployx_edge.runtimes.ncnn.native.emit import Emitted, Refusal, emit

__all__ = ["Emitted", "Refusal", "emit"]
