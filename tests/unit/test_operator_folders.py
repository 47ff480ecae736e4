"""Operators of a user's, in folders that ``deployx.toml`` names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployx_edge import operator_facts
from deployx_edge.config import load_config
from deployx_edge.crossbuild import fingerprint
from deployx_edge.errors import BuildError, ConfigError, UsageError
from deployx_edge.operator_facts import (
    all_operators,
    find_operator,
    forget_operators,
    kernels_digest,
    operator_folders,
    operators_by_reference,
    users_operators,
)
from deployx_edge.workflows.convert.bundle_key import operators_digest
from deployx_edge.workflows.operators.listing import examine_operators
from deployx_edge.workflows.operators.new import new_operator
from tests.unit.test_operator_facts import FACTS, write


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the current folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    forget_operators()
    yield folder
    forget_operators()


def settings(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "deployx.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_folders_count_from_both_files_and_lie_beside_them(project: Path, tmp_path: Path) -> None:
    settings(project, '[ops]\nfolders = ["my_ops", "../others"]\n')
    settings(tmp_path / "user" / "deployx-edge", '[ops]\nfolders = ["kept"]\n')
    assert load_config().operators == (
        project / "my_ops",
        tmp_path / "others",
        tmp_path / "user" / "deployx-edge" / "kept",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('ops = "my_ops"', "ops must be a table"),
        ('[ops]\nfolder = ["my_ops"]', "unknown key ops.folder"),
        ('[ops]\nfolders = "my_ops"', "ops.folders must be a list of folders"),
        ('[ops]\nfolders = ["a", 3]', "ops.folders must be a list of folders"),
        ('[ops]\nfolders = ["a", " "]', "ops.folders must be a list of folders"),
        ('[ops]\nfolders = ["~nobody-of-that-name/x"]', "begins with a home folder"),
    ],
)
def test_what_is_wrong_with_the_settings_is_named(project: Path, text: str, says: str) -> None:
    path = settings(project, text)
    with pytest.raises(ConfigError, match=says) as raised:
        load_config()
    assert str(path) in raised.value.message


def test_a_folder_that_is_not_there_is_named_with_what_to_do(project: Path) -> None:
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(ConfigError, match=r"There is no folder .*my_ops") as raised:
        all_operators()
    assert "op new" in raised.value.remedy
    (check,) = examine_operators()
    assert not check.present and "There is no folder" in check.found
    new_operator("shift", folder=None)  # as the remedy says
    assert list(users_operators()) == ["shift"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_another_users_settings_run_no_code_here(project: Path) -> None:
    path = settings(project, '[ops]\nfolders = ["my_ops"]\n')
    os.chown(path, 4321, 4321)
    with pytest.raises(ConfigError, match=r"belongs to another user \(4321\)"):
        all_operators()


@pytest.mark.parametrize("name", ["a;b", "a[b]", "a$b"])
def test_a_path_that_cmake_misreads_is_refused(project: Path, name: str) -> None:
    (project / name).mkdir()
    settings(project, f"[ops]\nfolders = ['{name}']\n")
    with pytest.raises(ConfigError, match="which CMake takes for something else"):
        operator_folders()


def test_a_users_operator_is_found_beside_ours(project: Path) -> None:
    write(project / "my_ops" / "shift")
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    found = find_operator("my", "Shift")
    assert found is not None and found.folder == project / "my_ops" / "shift"
    assert list(users_operators()) == ["shift"]
    assert len(all_operators()) > 20


def test_two_operators_of_one_name_are_both_named(project: Path) -> None:
    write(project / "my_ops" / "top_k")
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(BuildError, match=r"name top_k: .*ops/top_k and .*my_ops/top_k"):
        all_operators()


def test_an_operator_called_as_one_of_ours_is_refused(project: Path) -> None:
    text = FACTS.replace('"Shift"', '"TopK"').replace('"my"', '""')
    write(project / "my_ops" / "shift", text)
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(BuildError, match=r"in ops/top_k and .*my_ops/shift are both called 'TopK'"):
        all_operators()


def test_a_name_of_onnxs_that_it_does_not_have_is_refused_when_it_is_read(project: Path) -> None:
    text = FACTS.replace('domain = "my"', 'domain = ""')
    write(project / "my_ops" / "shift", text)
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(
        BuildError, match=r"shift/op.toml .* ONNX has no operator 'Shift'"
    ) as raised:
        all_operators()
    assert 'domain = "my_ops"' in raised.value.remedy
    write(
        project / "my_ops" / "det", text.replace('"Shift"', '"Det"').replace("their::Shift", "a::B")
    )
    (project / "my_ops" / "shift" / "op.toml").write_text(FACTS)
    forget_operators()
    assert list(users_operators()) == ["det", "shift"]


def test_a_kernel_without_facts_is_named(project: Path) -> None:
    write(project / "my_ops" / "shift").unlink()
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(BuildError, match=r"my_ops/shift/ncnn.cpp belongs to no operator"):
        all_operators()


@pytest.mark.parametrize("name", ["class", "std", "elements", "ncnn"])
def test_a_name_that_c_has_for_something_else_is_refused(project: Path, name: str) -> None:
    write(project / "my_ops" / name)
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(BuildError, match=f"'{name}' is a word of C"):
        all_operators()


def test_a_runtime_whose_worker_takes_no_operators_is_refused(project: Path) -> None:
    text = FACTS.replace('["ncnn"]', '["ncnn", "openvino"]')
    write(project / "my_ops" / "shift", text, ("ncnn.cpp", "openvino.cpp"))
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    with pytest.raises(BuildError, match="names openvino, whose worker takes no operators"):
        all_operators()


def operators_words() -> tuple[str, str, str]:
    """What tells builds, bundles and kernels apart."""
    forget_operators()
    users = [facts.folder for facts in users_operators().values()]
    headers = fingerprint._shared_headers()
    tree = fingerprint.hash_tree(*users, *headers, suffixes=(".cpp", ".h", ".toml"))
    return tree, operators_digest(), kernels_digest(users_operators()["shift"])


def test_what_changes_an_operator_changes_build_and_bundle(project: Path) -> None:
    folder = write(project / "my_ops" / "shift").parent
    settings(project, '[ops]\nfolders = ["my_ops"]\n')
    first = operators_words()
    assert operators_words() == first
    (folder / "ncnn.cpp").write_text("int x;")
    second = operators_words()
    assert all(a != b for a, b in zip(first, second, strict=True))
    (folder / "reference.py").write_text("def reference(x): return x")
    third = operators_words()
    assert (third[0], third[2]) == (second[0], second[2])  # nothing is compiled of it
    assert third[1] != second[1]
    (folder.parent / "shared.h").write_text("int y;")
    assert operators_words()[0] != third[0]
    (project / "deployx.toml").write_text('[ops]\nfolders = ["my_ops"]\n[devices]\n')
    assert operators_words()[1] == third[1]


def test_a_new_operator_lies_in_the_project_and_is_named_there(project: Path) -> None:
    made = new_operator("my_shift", folder=None)
    assert made.facts.folder == project / "my_ops" / "my_shift"
    assert (made.facts.title, made.package) == ("my_ops::MyShift", "my_ops")
    assert made.settings == project / "deployx.toml"
    assert list(users_operators()) == ["my_shift"]
    second = new_operator("other", folder=None, title="acme.vision::Other")
    assert second.settings is None and second.facts.folder.parent == project / "my_ops"
    assert second.facts.title == "acme.vision::Other"
    assert len(users_operators()) == 2


@pytest.mark.parametrize("runtimes", [("ncnn",), ("onnxruntime",), ("tensorrt",)])
def test_a_new_operator_has_the_files_that_its_runtimes_compile(
    project: Path, runtimes: tuple[str, ...]
) -> None:
    made = new_operator("shift", folder=None, runtimes=runtimes)
    named = {path.name for path in made.files}
    compiled = {name for name in named if name.endswith((".h", ".cpp", ".cu"))}
    on_gpu = {"kernel.cu", "device.h"}
    assert compiled == {f"{runtimes[0]}.cpp"} | (
        on_gpu if runtimes == ("tensorrt",) else {"kernel.h"}
    )


def test_settings_keep_their_comments(project: Path) -> None:
    path = settings(project, '# boards\n[devices.pi]\nuri = "ssh:pi@192.0.2.7"  # the one\n')
    new_operator("my_shift", folder=Path("parts/kernels"))
    text = path.read_text(encoding="utf-8")
    assert text.startswith('# boards\n[devices.pi]\nuri = "ssh:pi@192.0.2.7"  # the one\n')
    assert load_config().operators == (project / "parts" / "kernels",)


@pytest.mark.parametrize(
    ("name", "words", "says"),
    [
        ("my-shift", {}, "is not of lower case letters, digits and _"),
        ("class", {}, "is a word of C"),
        ("lambda", {}, "Python means something else"),
        ("top_k", {}, "There is an operator top_k already"),
        ("shift", {"title": "Shift"}, "is not a domain of your own"),
        ("shift", {"title": "com.microsoft::Shift"}, "is not a domain of your own"),
        ("shift", {"runtimes": ["openvino"]}, "cannot be built for the runtime 'openvino'"),
        ("shift", {"folder": Path("my-ops")}, "could import no function from a folder 'my-ops'"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    project: Path, name: str, words: dict[str, object], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        new_operator(name, **{"folder": None, **words})
    assert list(project.iterdir()) == []


def test_what_is_there_stays(project: Path) -> None:
    (project / "my_ops" / "shift").mkdir(parents=True)
    with pytest.raises(UsageError, match=r"There is something at .*my_ops/shift already"):
        new_operator("shift", folder=None)


def test_in_a_checkout_it_is_one_of_ours(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = project / "ops"
    own.mkdir()
    monkeypatch.setattr(operator_facts, "operators_folder", lambda: own)
    monkeypatch.setattr("deployx_edge.workflows.operators.new.operators_folder", lambda: own)
    made = new_operator("my_shift", folder=None)
    assert (made.facts.folder, made.facts.title) == (own / "my_shift", "deployx::MyShift")
    assert made.settings is None and not (project / "deployx.toml").exists()


def test_a_folder_that_is_an_operator_itself_is_named(project: Path) -> None:
    write(project / "my_ops" / "shift")
    settings(project, '[ops]\nfolders = ["my_ops/shift"]\n')
    with pytest.raises(
        ConfigError, match=r"my_ops/shift, which .* is an operator itself"
    ) as raised:
        all_operators()
    assert "Name the folder that holds it: my_ops" in raised.value.remedy


@pytest.mark.parametrize("name", ["reference.py", "kernel.h", "onnxruntime.cpp"])
def test_files_of_an_operator_without_its_facts_are_named(project: Path, name: str) -> None:
    made = new_operator("shift", folder=None, runtimes=("ncnn", "onnxruntime"))
    for path in made.files:
        if path.name != name:
            path.unlink()
    forget_operators()
    with pytest.raises(BuildError, match=rf"{name} belongs to no operator: there is no op.toml"):
        all_operators()


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("reference.py", None, "my_ops/shift has no reference.py, so that nobody knows"),
        ("reference.py", "def reference(x, by)\n", "reference.py cannot be loaded: SyntaxError"),
        ("reference.py", "def other(x, by):\n    return x\n", "has no function 'reference'"),
        ("test_shift.py", "CASES = 5\n", "test_shift.py is not a tuple of Case"),
        ("test_shift.py", "CASES = (1, 2)\n", "test_shift.py is not a tuple of Case"),
        ("test_shift.py", "CASES = (\n", "test_shift.py cannot be loaded: SyntaxError"),
    ],
)
def test_the_doctor_names_what_of_a_folder_is_not_whole(
    project: Path, file: str, text: str | None, says: str
) -> None:
    made = new_operator("shift", folder=None)
    path = made.facts.folder / file
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    (check,) = (each for each in examine_operators() if each.name == "shift")
    assert not check.present and says in check.found


@pytest.mark.parametrize(
    ("name", "near"), [("MyShift", "my_shift"), ("my-shift", "my_shift"), ("3d", "my_3d")]
)
def test_a_name_that_cannot_be_leads_to_one_that_can(project: Path, name: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"cannot be called '{name}'") as raised:
        new_operator(name, folder=None)
    assert raised.value.remedy == f"Call it so: deployx-edge op new {near}."
    new_operator(near, folder=None)


def test_references_compute_what_onnx_runtime_has_no_kernel_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dict(operators_by_reference()) == {}  # each of ours it has, or a library of ours
    own = project / "ops"
    own.mkdir()
    monkeypatch.setattr(operator_facts, "operators_folder", lambda: own)
    monkeypatch.setattr("deployx_edge.workflows.operators.new.operators_folder", lambda: own)
    for runtime in ("ncnn", "onnxruntime", "tensorrt"):
        new_operator(f"on_{runtime}", folder=None, runtimes=(runtime,))
    assert set(operators_by_reference()) == {"on_ncnn", "on_tensorrt"}
