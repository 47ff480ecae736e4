"""The main job over the real adb server."""

import json
import shutil
from dataclasses import replace

import pytest

from deployx_edge.bundle import write_bundle
from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import LinkLostError, QuarantinedError, UnfitDeviceError
from deployx_edge.measurement.values import BenchPlan, RunOptions
from deployx_edge.resources import dist_folder
from deployx_edge.transport.adb.android import android_facts
from deployx_edge.workflows.boards.board_doctor import examine_board
from deployx_edge.workflows.boards.session import open_session
from deployx_edge.workflows.measure.bench import BenchJob, bench, bench_device
from tests.commands import answer_to
from tests.integration.android import adb, listed_serials, running_phone
from tests.integration.board import free_port
from tests.integration.boards.strikes import during_runs
from tests.integration.processes import wait_until, with_words
from tests.integration.test_cli import DIGITS, deployx
from tests.integration.test_docs import run_commands
from tests.unit.models.bundles import written

BUILT = (dist_folder("android-arm64") / "build.json").is_file()

pytestmark = [
    pytest.mark.usefixtures("adb_server"),
    pytest.mark.skipif(
        not BUILT, reason="android-arm64 is not built: deployx-edge build --target android-arm64"
    ),
]


def test_push_and_bench_on_the_virtual_device(tmp_path):
    before = listed_serials()
    device = "virtual:android-arm64"
    done = deployx("push-and-bench", DIGITS, "--device", device, "--iterations", 15, cwd=tmp_path)
    assert "emulated" in done.stdout
    (written,) = (tmp_path / "deployx-results").glob("*.json")
    (result,) = json.loads(written.read_text())["results"]
    assert len(result["bench"]["samples_ns"]) == 15
    assert min(result["bench"]["samples_ns"]) > 0
    assert (result["device"]["uri"], result["device"]["target_id"]) == (device, "android-arm64")
    assert result["device"]["board"]["machine"] == "aarch64"
    assert result["device"]["board"]["emulated"] is True
    assert result["bench"]["peak_memory_bytes"] is None
    # The device went with its user.
    assert listed_serials() <= before


def test_a_phone_runs_its_own_binaries(phone, digits):
    """No launcher: the device starts the agent, and the agent its worker, by themselves."""
    board = Device(name="phone", uri=phone.uri)
    with open_session(board) as session:
        assert session.target.id == "android-arm64"
        assert session.transport.launcher == ()
        (result,) = bench(session, digits, plan=BenchPlan(warmup=1, iterations=10))
        facts = android_facts(session.transport)
    assert len(result.bench.samples_ns) == 10
    assert (facts.api_level, facts.abis) == (34, ("arm64-v8a",))
    assert (phone.root / "data/local/tmp/deployx-edge/bin").is_dir()
    with open_session(board) as session:
        (again,) = bench(session, digits, plan=BenchPlan(warmup=1, iterations=10))
    assert again.push.sent_bytes == 0
    wait_until(lambda: not with_words("serve", str(phone.root)), "the end of the agent")
    assert list((phone.root / "data/local/tmp/deployx-edge/sessions").iterdir()) == []


def test_what_only_android_knows_stands_in_results_and_with_the_doctor(phone):
    board = Device(name="phone", uri=phone.uri)
    with open_session(board) as session:
        facts = dict(session.identity.facts)
    assert facts["system"] == "Android 14, API level 34"
    assert "%" in facts["battery"]
    checks = {check.name: check for check in examine_board(board)}
    assert checks["target"].found.startswith("android-arm64")
    for name in ("link", "lease", "work folder", "API level", "power saving", "battery"):
        assert checks[name].present, checks[name]
    assert (checks["screen"].present, checks["screen"].found[:4]) == (False, "off:")


def test_a_phone_older_than_its_build_is_refused_before_anything_goes_there(
    phone, tmp_path, monkeypatch
):
    with open_session(Device(name="phone", uri=phone.uri)) as session:
        build = shutil.copytree(session.build.folder, tmp_path / "android-arm64")
    document = json.loads((build / "build.json").read_text())
    document["imported"] = True
    document["files"][0]["libc"] = "Bionic, API level 35"
    (build / "build.json").write_text(json.dumps(document))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(tmp_path))
    board = Device(name="phone", uri=phone.uri, work_folder="/data/local/tmp/another")
    with (
        pytest.raises(UnfitDeviceError, match="dx-agent needs API level 35, the phone has 34"),
        open_session(board),
    ):
        pass
    assert not (phone.root / "data/local/tmp/another").exists()
    checks = {check.name: check for check in examine_board(board)}
    assert not checks["API level"].present


def test_a_graph_by_a_newer_qnn_than_goes_to_the_phone_is_refused_before_the_push(
    phone, digits, tmp_path, monkeypatch
):
    """The build has libraries that a user brought, of the release before the bundle's."""
    with open_session(Device(name="phone", uri=phone.uri)) as session:
        build = shutil.copytree(session.build.folder, tmp_path / "dist" / "android-arm64")
    document = json.loads((build / "build.json").read_text())
    agent = next(file for file in document["files"] if file["role"] == "agent")
    shutil.copy(build / agent["name"], build / "dx-worker-qnn")
    document["files"] += [{**agent, "name": "dx-worker-qnn", "role": "worker", "runtime": "qnn"}]
    document["imported"] = True
    document["packages"] |= {"onnxruntime-qnn": "2.7.0", "qnn-runtime": "2.50.1"}
    (build / "build.json").write_text(json.dumps(document))
    monkeypatch.setenv("DEPLOYX_EDGE_DIST", str(build.parent))
    board = Device(name="phone", uri=phone.uri, work_folder="/data/local/tmp/graphs")
    (tmp_path / "deployx.toml").write_text(
        f'[devices.phone]\nuri = "{board.uri}"\nwork_folder = "{board.work_folder}"\n'
    )
    monkeypatch.chdir(tmp_path)
    made = written(tmp_path)
    contents = {file.path: made.folder / file.path for file in made.files}
    first, second = (
        replace(file, role=role) for file, role in zip(made.files, ("onnx", "context"), strict=True)
    )
    by = replace(made.provenance, tools=(("onnxruntime-qnn", "2.7.0"),))
    made = replace(made, runtime="qnn", soc="sm8650", files=(first, second), provenance=by)
    folder = write_bundle(made, contents, tmp_path / "graph").folder
    told = answer_to("push", folder, "--device", "phone", code=20)
    assert (
        "was made by qnn-runtime 2.51, this build of android-arm64 has qnn-runtime 2.50.1" in told
    )
    assert "convert the model without --soc and --soc-of" in told
    store = phone.root / "data/local/tmp/graphs/store"
    assert not store.exists() or not list(store.iterdir())
    # The board takes what fits.
    plain = replace(made, files=(first,), soc="")
    onnx = {first.path: contents[first.path]}
    answer_to("push", write_bundle(plain, onnx, tmp_path / "plain").folder, "--device", "phone")
    answer_to("bench", digits.folder, "--device", "phone", "--iterations", "1", "--no-link")


def test_a_model_under_which_the_board_started_anew_is_quarantined(digits, tmp_path, monkeypatch):
    """As after a brown-out: the link breaks in a run, and the board has another boot id."""
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(free_port()))
    with running_phone(tmp_path / "phone") as phone:
        board = Device(name="phone", uri=phone.uri, options=LinkOptions(silence_seconds=4))
        # The first takes the board down; the second waits until it is back, and runs.
        options = (RunOptions(threads=1), RunOptions(threads=2))
        job = BenchJob(bundle=digits, options=options, plan=BenchPlan(iterations=0, seconds=4))
        with during_runs(lambda: adb("-s", phone.serial, "reboot")) as flow:
            results, (failure,) = bench_device(board, job, progress=flow)
        assert isinstance(failure.error, LinkLostError)
        assert [result.load.threads for result in results] == [2]
        quick = replace(job, plan=BenchPlan(warmup=1, iterations=5))
        results, (failure,) = bench_device(board, quick)
        assert isinstance(failure.error, QuarantinedError)
        assert "the board has started anew since" in failure.error.message
        assert failure.options.threads == 1
        assert len(results) == 1
        results, failures = bench_device(board, replace(quick, force=True))
        assert (len(results), failures) == (2, [])
        adb("kill-server")


def test_it_goes_as_it_is_written(tmp_path):
    assert run_commands("android.md", tmp_path) == 1
