"""Archives for Android as Maven repositories hold them, with libraries without code."""

from __future__ import annotations

import zipfile
from pathlib import Path

from tests.unit.crossbuild.binaries import AARCH64, QDSP6, elf

RUNTIME = "onnxruntime-android-1.29.0.aar"
PROVIDER = "onnxruntime-android-qnn-2.6.0.aar"
QNN = "qnn-runtime-2.50.0.aar"
BESIDE = "onnxruntime_error_code.h"
HEADER = f'#include "{BESIDE}"\n#define ORT_API_VERSION {{api}}\n'
HTP = ("libQnnHtp.so", "libQnnSystem.so", "libQnnHtpPrepare.so", "libQnnHtpV73Stub.so")
SKELETONS = ("libQnnHtpV73Skel.so", "libQnnHtpV81Skel.so")


def make_aar(path: Path, members: dict[str, bytes]) -> Path:
    """The archive, with these members beside those that every AAR has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {"AndroidManifest.xml": b"<manifest/>", "classes.jar": b"PK", **members}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in whole.items():
            file.writestr(name, content)
    return path


def libraries(*names: str, machine: int = AARCH64) -> dict[str, bytes]:
    """Members for the phones' processor, and of one library for another."""
    members = {f"jni/arm64-v8a/{name}": elf(machine, filler=name.encode()) for name in names}
    return {**members, "jni/x86_64/libother.so": elf(62)}


def onnxruntime(path: Path, *, api: int = 29) -> Path:
    """ONNX Runtime, as Microsoft packs it."""
    members = {
        "headers/onnxruntime_c_api.h": HEADER.format(api=api).encode(),
        f"headers/{BESIDE}": b"// another\n",
        **libraries("libonnxruntime.so", "libonnxruntime4j_jni.so"),
    }
    return make_aar(path, members)


def qnn(path: Path, *names: str) -> Path:
    """Qualcomm's libraries, and those that its NPUs load."""
    others = {f"jni/arm64-v8a/{n}": elf(QDSP6, filler=n.encode()) for n in SKELETONS}
    return make_aar(path, {**libraries(*(names or HTP), "libQnnGpu.so"), **others})


def fill(folder: Path) -> Path:
    """All that QNN takes, in versions that fit each other."""
    onnxruntime(folder / RUNTIME)
    make_aar(folder / PROVIDER, libraries("libonnxruntime_providers_qnn.so"))
    qnn(folder / QNN)
    return folder
