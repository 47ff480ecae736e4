"""The registry of devices, and several of them at once, as a person types it."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.board import options_toml, running_sshd

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
COMMAND = Path(sys.executable).parent / "deployx-edge"


@pytest.fixture
def user(tmp_path):
    """A user's configuration folder and a project folder, both new."""
    (tmp_path / "project é").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with running_sshd(tmp_path_factory.mktemp("devices-sshd")) as board:
        yield board


def deployx(user, *words, code=0):
    done = subprocess.run(
        [COMMAND, *map(str, words)],
        cwd=user / "project é",
        env={**os.environ, "XDG_CONFIG_HOME": str(user / "config")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def document(user, *words, code=0):
    return json.loads(deployx(user, *words, "--json", code=code).stdout)


def user_file(user):
    return user / "config" / "deployx-edge" / "deployx.toml"


def project_file(user):
    return user / "project é" / "deployx.toml"


def test_a_board_is_asked_and_written_down_and_forgotten(user):
    said = deployx(user, "devices", "add", 'my "big" board\'s', "local:").stdout
    assert "linux-x64" in said.replace("\n", " ")
    assert str(user_file(user)) in said.replace("\n", "")
    (row,) = [
        row
        for row in document(user, "devices", "list")["devices"]
        if row["name"] == 'my "big" board\'s'
    ]
    assert (row["uri"], row["target"], row["reachable"]) == ("local:", "linux-x64", True)
    done = deployx(user, "devices", "add", 'my "big" board\'s', "local:", code=2)
    assert "--replace" in done.stderr
    deployx(user, "devices", "remove", 'my "big" board\'s')
    assert "big" not in user_file(user).read_text(encoding="utf-8")
    assert "There is no device" in deployx(user, "devices", "remove", "pi", code=2).stderr


def test_what_a_person_wrote_into_the_file_stays(user):
    file = project_file(user)
    file.write_text('# the lab\n[devices.a]\nuri = "local:"  # near\n', encoding="utf-8")
    deployx(user, "devices", "add", "b", "virtual:linux-arm64", "--project")
    text = file.read_text(encoding="utf-8")
    assert text.startswith('# the lab\n[devices.a]\nuri = "local:"  # near\n')
    assert 'target = "linux-arm64"' in text
    deployx(user, "devices", "remove", "b")
    assert file.read_text(encoding="utf-8").strip() == text[: text.index("[devices.b]")].strip()
    assert not user_file(user).exists()


def test_a_board_that_is_off_can_be_named_without_asking_it(user):
    nobody = "ssh:nobody@127.0.0.1:1"
    refused = deployx(user, "devices", "add", "off", nobody, code=30)
    assert "refused the connection" in refused.stderr
    assert not user_file(user).exists()
    deployx(user, "devices", "add", "off", nobody, "--no-probe")
    rows = {row["name"]: row for row in document(user, "devices", "list")["devices"]}
    assert rows["off"]["reachable"] is False
    assert "refused the connection" in rows["off"]["found"]


def test_the_list_waits_for_nobody(user):
    """Listeners that take a connection and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for index in range(8):
            deployx(user, "devices", "add", f"s{index}", f"ssh:x@127.0.0.1:{port}", "--no-probe")
        started = time.monotonic()
        rows = document(user, "devices", "list")["devices"]
        # Three seconds for all of them and the start of Python, against three for each.
        assert time.monotonic() - started < 20
    silent_ones = [row for row in rows if row["name"].startswith("s") and ":" not in row["name"]]
    assert len(silent_ones) == 8
    assert not any(row["reachable"] for row in silent_ones)


def test_the_doctor_ticks_what_a_run_needs(user, sshd):
    options = sshd.options()
    deployx(user, "devices", "add", "off", "ssh:nobody@127.0.0.1:1", "--no-probe")
    config = user_file(user).read_text(encoding="utf-8")
    board = f'[devices.here]\nuri = "{sshd.uri}"\n{options_toml(options)}'
    user_file(user).write_text(config + board, encoding="utf-8")
    checks = {c["name"]: c for c in document(user, "devices", "doctor", "here")["checks"]}
    for name in ("link", "target", "binaries", "work folder", "lease", "disk", "clock"):
        assert checks[name]["present"], checks[name]
    assert "linux-x64" in checks["target"]["found"]
    rows = document(user, "devices", "doctor", "here", "--model", DIGITS)["checks"]
    checks = {row["name"]: row for row in rows}
    assert checks["bundle"]["found"].startswith("digits_cnn: fp32 for ncnn, ")
    assert "half floats" in checks and "int8 dot products" not in checks
    off = document(user, "devices", "doctor", "off", code=37)["checks"]
    assert [(c["name"], c["present"]) for c in off] == [("link", False)]
    assert "sshd runs on the board" in off[0]["remedy"]


def test_the_doctor_names_a_work_folder_that_cannot_be(user):
    (user / "file").write_text("no folder")
    project_file(user).write_text(
        f'[devices.bad]\nuri = "local:"\nwork_folder = "{user / "file" / "w"}"\n', encoding="utf-8"
    )
    checks = document(user, "devices", "doctor", "bad", code=37)["checks"]
    last = checks[-1]
    assert (last["name"], last["present"]) == ("agent", False)
    assert str(user / "file" / "w") in last["found"]


def test_several_boards_at_once_in_one_table(user):
    for name, uri in (("near", "local:"), ("pi", "virtual:linux-arm64")):
        deployx(user, "devices", "add", name, uri, "--work-folder", user / f"work {name}")
    deployx(user, "devices", "add", "off", "ssh:nobody@127.0.0.1:1", "--no-probe")
    done = deployx(user, "bench", DIGITS, "--all", "-n", 5, "--json", code=30)
    found = json.loads(done.stdout)
    assert [result["device"]["name"] for result in found["results"]] == ["near", "pi"]
    assert [result["device"]["target_id"] for result in found["results"]] == [
        "linux-x64",
        "linux-arm64",
    ]
    (failure,) = found["failures"]
    assert (failure["device"], failure["exit_code"]) == ("off", 30)
    assert "refused the connection" in failure["error"]
    assert "near: Benchmarking" in done.stderr
    assert "off: failed" in done.stderr
    table = deployx(user, "bench", DIGITS, "-d", "near,pi", "-n", 5).stdout
    assert "on 2 boards" in table
    pushed = deployx(user, "push", DIGITS, "-d", "near,off", code=30)
    assert "is on near" in pushed.stdout
    assert "error: off: " in pushed.stderr


def test_all_and_nothing_are_refused_where_they_say_nothing(user):
    assert "there is none" in deployx(user, "bench", DIGITS, "--all", code=2).stderr
    assert "No board was named" in deployx(user, "bench", DIGITS, code=2).stderr
    both = deployx(user, "bench", DIGITS, "--all", "-d", "local:", code=2)
    assert "--device beside it" in both.stderr
