"""Bundles: a folder with a model's files and ``bundle.json``, which says what they are.

The manifest's schema is documented in ``docs/bundle.md``.
"""

from __future__ import annotations

from deployx_edge.bundle.folder import (
    check_output,
    describe_file,
    folder_for,
    load_bundle,
    safe_name,
    sha256_of,
    write_bundle,
)
from deployx_edge.bundle.manifest import MANIFEST_NAME, SCHEMA, bundle_digest, manifest_of
from deployx_edge.bundle.sequence import (
    BundleSequence,
    SequenceFeed,
    SequencePart,
    SequenceResult,
    is_sequence,
    load_sequence,
    write_sequence_file,
)
from deployx_edge.bundle.values import (
    Bundle,
    BundleFile,
    IntermediateCheck,
    LeftNode,
    OutputCheck,
    Provenance,
    Verification,
)

__all__ = [
    "MANIFEST_NAME",
    "SCHEMA",
    "Bundle",
    "BundleFile",
    "BundleSequence",
    "IntermediateCheck",
    "LeftNode",
    "OutputCheck",
    "Provenance",
    "SequenceFeed",
    "SequencePart",
    "SequenceResult",
    "Verification",
    "bundle_digest",
    "check_output",
    "describe_file",
    "folder_for",
    "is_sequence",
    "load_bundle",
    "load_sequence",
    "manifest_of",
    "safe_name",
    "sha256_of",
    "write_bundle",
    "write_sequence_file",
]
