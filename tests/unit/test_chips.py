"""Which chip a board has, what of a worker goes there, and bundles for another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployx_edge.bundle import load_bundle, write_bundle
from deployx_edge.errors import BuildError, UnfitDeviceError
from deployx_edge.measurement.values import RunOptions
from deployx_edge.runtime import RUNTIMES
from deployx_edge.target import find_target
from deployx_edge.worker_facts import worker_facts
from deployx_edge.workflows.boards.chips import (
    files_for_board,
    files_of_worker,
    is_remade,
    soc_of,
)
from deployx_edge.workflows.boards.preflight import check_emulation, check_fit
from tests.unit.models.bundles import written
from tests.unit.report.results import BOARD
from tests.unit.test_preflight import built

# The runtimes whose bundles name a chip and whose workers bring libraries for some only.
NAME = next(n for n, row in RUNTIMES.items() if row.socs and row.reads_onnx)
MAKER = RUNTIMES[NAME].package
# One whose every file is for one chip, of which some take each other's.
FAMILIES = next(row for row in RUNTIMES.values() if row.one_soc and row.like_socs)


def board(soc, **changes):
    return replace(BOARD, soc=soc, libc="glibc 2.36; agent: musl", **changes)


def build():
    """With every library that its worker may need."""
    made = built(runtime=NAME, libc="GLIBC_2.34")
    worker = made.files[1]
    names = worker_facts(NAME).libraries_on("aarch64")
    libraries = (replace(worker, name=name, role="library", libc="") for name in names)
    return replace(made, files=(*made.files, *libraries))


def bundle(folder, soc=""):
    folder.mkdir(exist_ok=True)
    return replace(written(folder), runtime=NAME, soc=soc)


@pytest.mark.parametrize(
    ("told", "soc"),
    [
        ("Qualcomm SM8550", "sm8550"),
        ("Some board (qcom,sc8280xp)", "sc8280x"),
        ("Some board (qcom,qcs6490-rb3gen2)", "qcs6490"),
        # Phones name the family, and their kernel knows the chip by a number.
        ("Kalama MTP (qcom,kalama), soc_id 519", "sm8550"),
        ("Some board (qcom,sm8650), soc_id 519", "sm8650"),
        ("Kalama MTP (qcom,kalama), soc_id 5190", ""),
        ("SM85501", ""),
        ("XSM8550", ""),
        ("Raspberry Pi 5 Model B Rev 1.0 (brcm,bcm2712)", ""),
        (None, ""),
    ],
)
def test_a_board_tells_its_chip_with_other_words_around_it(told, soc):
    assert soc_of(board(told), NAME) == soc
    # An emulated board tells the host's.
    assert soc_of(board(told, emulated=True), NAME) == ""


@pytest.mark.parametrize(
    ("told", "named", "kept"),
    [
        ("Qualcomm SM8550", "", ["libQnnHtpV73Stub.so", "libQnnHtpV73Skel.so"]),
        ("Qualcomm SM8550", "sm8550", ["libQnnHtpV73Stub.so", "libQnnHtpV73Skel.so"]),
        (None, "qcs6490", ["libQnnHtpV68Stub.so", "libQnnHtpV68Skel.so"]),
    ],
)
def test_only_the_libraries_of_the_board_s_chip_go_there(told, named, kept, tmp_path):
    made = build()
    found = [f.name for f in files_of_worker(made, bundle(tmp_path, named), board(told))]
    every = [file.name for file in made.of_worker(NAME)]
    assert found[0] == f"dx-worker-{NAME}"
    assert [name for name in found if "HtpV" in name] == kept
    assert [name for name in found if "HtpV" not in name] == [n for n in every if "HtpV" not in n]


def test_what_prepares_stays_here_where_the_bundle_holds_the_model_prepared(tmp_path):
    made = build()
    plain = bundle(tmp_path, "sm8550")
    prepared = replace(plain, files=(*plain.files, replace(plain.files[0], role="context")))

    def pushed(of, **more):
        return {file.name for file in files_of_worker(made, of, board("SM8550"), **more)}

    assert pushed(plain) - pushed(prepared) == {"libQnnHtpPrepare.so"}
    assert pushed(prepared, remade=True) == pushed(plain)


@pytest.mark.parametrize(
    ("named", "more", "remade"),
    [
        ((), (), False),
        ((("htp_performance_mode", "burst"), ("allow_fallback", "on")), (), False),
        ((("vtcm_mb", "2"),), (), True),
        ((("htp_graph_finalization_optimization_mode", "1"),), (), True),
        ((), ("inside",), True),
    ],
)
def test_options_of_the_graph_and_tensors_inside_have_the_board_prepare(
    named, more, remade, tmp_path
):
    of = bundle(tmp_path, "sm8550")
    outputs = (*(spec.runtime_name for spec in of.outputs), *more)
    assert is_remade(of, RunOptions(named=named), outputs) is remade
    assert is_remade(of, RunOptions(named=named), ()) is (remade and not more)


def test_all_go_to_a_board_that_does_not_tell_its_chip(tmp_path):
    made = build()
    assert files_of_worker(made, bundle(tmp_path), board("Kalama")) == made.of_worker(NAME)


def test_a_bundle_for_another_chip_is_refused_with_both_named(tmp_path):
    for_another = bundle(tmp_path / "a", "sm8650")
    with pytest.raises(UnfitDeviceError) as caught:
        check_fit(board("Qualcomm SM8550"), build(), for_another, device="phone")
    assert "files are for the chip sm8650, the board has sm8550" in caught.value.message
    assert "--soc sm8550" in caught.value.remedy
    assert caught.value.exit_code == 37
    for fine in (bundle(tmp_path / "b", "sm8550"), bundle(tmp_path / "c")):
        check_fit(board("Qualcomm SM8550"), build(), fine, device="phone")
    check_fit(board(None), build(), for_another, device="phone")


def test_a_bundle_keeps_its_chip(tmp_path):
    made = written(tmp_path)
    files = {file.path: made.folder / file.path for file in made.files}
    again = write_bundle(replace(made, soc="sm8650"), files, tmp_path / "again")
    assert load_bundle(again.folder).soc == "sm8650"
    assert load_bundle(made.folder).soc == ""


def test_an_emulated_board_has_no_npu(tmp_path):
    target = find_target("linux-arm64")
    qemu = ("qemu-aarch64",)
    with pytest.raises(UnfitDeviceError, match="an emulated board has no Qualcomm NPU") as caught:
        check_emulation(qemu, target, build(), bundle(tmp_path), device="virtual:linux-arm64")
    assert "--device local:" in caught.value.remedy
    check_emulation((), target, build(), bundle(tmp_path / "b"), device="board")


def test_chips_that_take_each_others_files_are_not_told_apart(tmp_path):
    first, second = FAMILIES.like_socs[0]
    other = FAMILIES.like_socs[1][0]
    made = replace(built(runtime=FAMILIES.name), target_id="linux-arm64")
    for there, soc in ((first, first), (first, second), (second, first)):
        check_fit(
            board(f"A board (maker,{there})"),
            made,
            replace(bundle(tmp_path / "b"), runtime=FAMILIES.name, soc=soc),
            device="b",
        )
    with pytest.raises(UnfitDeviceError, match=f"for the chip {first}, the board has {other}"):
        check_fit(
            board(f"A board (maker,{other})"),
            made,
            replace(bundle(tmp_path / "b"), runtime=FAMILIES.name, soc=first),
            device="b",
        )


def test_a_file_for_one_chip_is_for_the_usual_one_where_nobody_names_it():
    assert FAMILIES.soc_meant("") == FAMILIES.socs[0]
    assert FAMILIES.soc_meant(FAMILIES.socs[-1]) == FAMILIES.socs[-1]
    assert RUNTIMES[NAME].soc_meant("") == ""


def test_no_board_gets_what_only_this_computer_reads(tmp_path):
    made = bundle(tmp_path / "b")
    files = tuple(replace(made.files[0], role=role) for role in FAMILIES.files)
    kept = files_for_board(replace(made, runtime=FAMILIES.name, files=files))
    assert [file.role for file in kept] == [FAMILIES.name]
    assert files_for_board(made) == made.files


@pytest.mark.parametrize(
    ("made", "there", "said"),
    [
        # On a target whose libraries a user brings beside what makes the file.
        ("2.7.0", {MAKER: "2.6.0", "qnn-runtime": "2.50.1"}, "qnn-runtime 2.51, .* 2.50.1"),
        ("2.7.0", {MAKER: "2.6.0", "qnn-runtime": "2.51.0.260929"}, ""),
        ("2.6.0", {MAKER: "2.6.0", "qnn-runtime": "2.50.1"}, ""),
        # What a release is made with that is newer than this list is not known.
        ("2.99.0", {MAKER: "2.7.0", "qnn-runtime": "2.51.0"}, ""),
        # Elsewhere it brings them.
        ("2.8.0", {MAKER: "2.7.0"}, f"{MAKER} 2.8.0, .* {MAKER} 2.7.0"),
        ("2.7.1", {MAKER: "2.7.0"}, ""),
        ("a fork", {MAKER: "2.7.0"}, ""),
        ("2.8.0", {}, ""),
    ],
)
def test_what_a_newer_release_prepared_is_refused_with_both_named(made, there, said, tmp_path):
    plain = bundle(tmp_path, "sm8550")
    tools = replace(plain.provenance, tools=((MAKER, made),))
    role = worker_facts(NAME).chips.prepared_role
    files = (*plain.files, replace(plain.files[0], role=role))
    phone = replace(build(), target_id="android-arm64", packages=tuple(there.items()))
    prepared = replace(plain, files=files, provenance=tools)
    # Without the file the board prepares the model itself.
    check_fit(board("SM8550"), phone, replace(prepared, files=plain.files), device="phone")
    if not said:
        check_fit(board("SM8550"), phone, prepared, device="phone")
        return
    with pytest.raises(BuildError, match=f"'{role}' was made by {said}") as caught:
        check_fit(board("SM8550"), phone, prepared, device="phone")
    assert "without --soc and --soc-of" in caught.value.remedy
