"""Each command as a person types it, good input and bad."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy
import onnx
import pytest
from onnx import helper, numpy_helper

from deployx_edge.worker_facts import worker_facts, worker_names
from deployx_edge.workflows.convert.bundle import make_bundle
from deployx_edge.workflows.measure.loading import random_inputs

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "examples" / "digits" / "digits_cnn.onnx"
DATA = DIGITS.with_name("digits_test.npz")
COMMAND = Path(sys.executable).parent / "deployx-edge"


def deployx(*words, cwd, code=0):
    done = subprocess.run(
        [COMMAND, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def document(*words, cwd):
    return json.loads(deployx(*words, "--json", cwd=cwd).stdout)


def refused(*words, cwd, code, says):
    """One line on standard error, nothing on standard output."""
    done = deployx(*words, cwd=cwd, code=code)
    assert done.stdout == ""
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last
    assert "Traceback" not in done.stderr


COMMANDS = [
    ["targets"],
    ["doctor"],
    ["build"],
    ["sources"],
    ["sources", "list"],
    ["sources", "fetch"],
    ["sources", "add"],
    ["convert"],
    ["devices"],
    ["devices", "list"],
    ["devices", "describe"],
    ["devices", "add"],
    ["devices", "remove"],
    ["devices", "doctor"],
    ["devices", "release"],
    ["devices", "clean"],
    ["push"],
    ["run"],
    ["bench"],
    ["profile"],
    ["evaluate"],
    ["inspect"],
    ["extract"],
    ["compare"],
    ["push-and-bench"],
    ["clean"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_has_an_example(words, tmp_path):
    text = deployx(*words, "--help", cwd=tmp_path).stdout
    if words not in (["sources"], ["devices"]):
        assert "Example: deployx-edge " + words[0] in text


def test_the_help_of_a_run_names_every_runtimes_options(tmp_path):
    for command in ("bench", "profile", "push-and-bench", "run"):
        text = " ".join(deployx(command, "--help", cwd=tmp_path).stdout.split())
        for runtime in worker_names():
            for option in worker_facts(runtime).options:
                assert f"{option.name} ({option.expects})" in text


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("spinning=on", "spinning is an option of onnxruntime, this bundle is for ncnn."),
        ("winograd_convolution=yes", "expects on or off, not 'yes'"),
        ("winogard_convolution=on", "The nearest are winograd_convolution"),
        ("winograd_convolution", "does not have the form NAME=VALUE"),
    ],
)
def test_an_option_that_the_runtime_lacks_is_refused_before_a_board_is_asked(word, says, tmp_path):
    nowhere = "ssh:nobody@192.0.2.1"  # it would take long to find out that nobody answers there
    for command in ("bench", "profile", "push-and-bench"):
        refused(
            *(command, DIGITS, "--device", nowhere, "--option", word),
            cwd=tmp_path,
            code=2,
            says=says,
        )


@pytest.mark.parametrize("device", ["local:", "virtual:linux-arm64"])
def test_push_and_bench_prints_the_table_and_keeps_the_samples(device, tmp_path):
    done = deployx("push-and-bench", DIGITS, "--device", device, "--iterations", 15, cwd=tmp_path)
    for word in ("p50 / p90 / p99", "precision that ran", "peak memory", "link"):
        assert word in done.stdout
    (written,) = (tmp_path / "deployx-results").glob("*.json")
    assert str(written.name) in done.stdout
    (result,) = json.loads(written.read_text())["results"]
    assert len(result["bench"]["samples_ns"]) == 15
    assert min(result["bench"]["samples_ns"]) > 0
    assert result["device"]["board"]["emulated"] is (device != "local:")
    assert result["precision_that_ran"] == "fp32"
    if device != "local:":
        assert "emulated" in done.stdout
        assert result["bench"]["peak_memory_bytes"] is None


def test_a_sweep_is_one_table_and_compares_with_an_earlier_file(tmp_path):
    sweep = ["bench", DIGITS, "-d", "local:", "--threads", "1,2", "--iterations", 50]
    deployx(*sweep, "--output", "old.json", cwd=tmp_path)
    old = "old.json"
    assert [r["load"]["threads"] for r in json.loads((tmp_path / old).read_text())["results"]] == [
        1,
        2,
    ]
    done = deployx(*sweep, "--compare", old, cwd=tmp_path)
    assert "Compared with the earlier file" in done.stdout
    assert done.stdout.count("cannot be told") == 2  # the file's are single runs
    other = document(*sweep[:4], "--threads", 1, "--batch", 2, "--compare", old, cwd=tmp_path)
    assert [c["verdict"] for c in other["comparisons"]] == ["not compared"] * 3
    assert "batch 1 instead of 2" in other["comparisons"][0]["reason"]


def large_convolution(path):
    """A model of milliseconds, where the digits take microseconds."""
    generator = numpy.random.default_rng(0)
    weight = generator.standard_normal((64, 64, 3, 3)).astype(numpy.float32)
    ends = [helper.make_tensor_value_info(name, 1, [1, 64, 64, 64]) for name in ("x", "y")]
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    weights = [numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph([node], "large", ends[:1], ends[1:], weights)
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)
    return path


def test_two_bundles_run_in_turn_and_the_limit_sets_the_exit_code(tmp_path):
    deployx("convert", large_convolution(tmp_path / "large.onnx"), "-o", "slow", cwd=tmp_path)
    words = ["bench", "-d", "local:", "--threads", 1, "--repeat", 8, "--seconds", 0.02, "--json"]
    limit = ["--max-slowdown", "50%"]
    slower = deployx(*words, "slow", "--against", DIGITS, *limit, cwd=tmp_path, code=15)
    report = json.loads(slower.stdout)
    assert [r["baseline"] for r in report["results"]] == [False, True]
    for one in report["results"]:
        lengths = one["bench"]["run_lengths"]
        assert len(lengths) == one["plan"]["repeats"] == 8
        assert sum(lengths) == len(one["bench"]["samples_ns"])
    (found,) = report["comparisons"]
    assert (found["verdict"], found["rounds"]) == ("slower", 8) and found["ratio"]["low"] > 1.5
    assert "slower by" in slower.stderr.strip().splitlines()[-1]
    faster = deployx(*words, DIGITS, "--against", "slow", *limit, cwd=tmp_path)
    assert json.loads(faster.stdout)["comparisons"][0]["verdict"] == "faster"


def test_an_emulator_keeps_no_limit(tmp_path):
    words = ["bench", DIGITS, "-d", "virtual:linux-arm64", "-n", 2, "--warmup", 0, "--repeat", 1]
    done = deployx(*words, "--against", DIGITS, "--max-slowdown", 5, cwd=tmp_path, code=16)
    assert "emulated" in done.stderr.strip().splitlines()[-1]


def test_the_link_costs_time_and_no_number_of_runs(tmp_path):
    words = ["bench", "-d", "local:", "-n", 1, "--warmup", 0, "--threads", 1]
    (quick,) = document(*words, DIGITS, cwd=tmp_path)["results"]
    assert quick["transport"]["empty_calls"] > 0 and quick["transport"]["empty_ns"] > 0
    assert 0 < quick["transport"]["inference"]["calls"] <= 20
    slow = large_convolution(tmp_path / "slow.onnx")
    emulated = ["virtual:linux-arm64" if word == "local:" else word for word in words]
    (seconds,) = document(*emulated, slow, cwd=tmp_path)["results"]
    took = seconds["bench"]["samples_ns"][0]
    assert (seconds["transport"]["inference"] is None) == (took > 0.3e9)
    (without,) = document(*words, DIGITS, "--no-link", cwd=tmp_path)["results"]
    assert without["transport"] is None


def test_debug_tells_the_phases(tmp_path):
    done = deployx("--debug", "bench", DIGITS, "-d", "local:", "-n", 5, cwd=tmp_path)
    lines = done.stderr.splitlines()
    phases = lines[lines.index("Phases in seconds:") + 1 :]
    seconds = [float(line.split()[0]) for line in phases]
    assert seconds[-1] == pytest.approx(sum(seconds[:-1]), abs=0.02)
    for words in ("Starting Python", "Looking for the bundle", "Starting the agent", "in all"):
        assert any(line.endswith(words) for line in phases)


def test_results_can_be_had_as_figures(tmp_path):
    deployx("bench", DIGITS, "-d", "local:", "--export", "bench.svg", cwd=tmp_path)
    deployx("profile", DIGITS, "-d", "local:", "--export", "profile.html", cwd=tmp_path)
    drawn = (tmp_path / "bench.svg").read_text()
    # Letters as outlines, named beside them; no terminal, and no font from the network.
    assert "p50 / p90 / p99" in drawn and "<path" in drawn
    assert "<text" not in drawn and "font-family" not in drawn
    assert "ConvolutionDepthWise" in (tmp_path / "profile.html").read_text()


@pytest.mark.parametrize("command", ["bench", "push-and-bench", "profile"])
def test_a_figure_of_another_kind_is_refused_before_anything_runs(command, tmp_path):
    words = (command, DIGITS, "-d", "ssh:nobody@192.0.2.1", "--export", "figure.docx")
    done = deployx(*words, cwd=tmp_path, code=2)
    assert done.stderr.count("\n") == 1 and ".svg, .png, .pdf nor in .html" in done.stderr


def test_half_precision_on_a_processor_without_it_is_marked(tmp_path):
    (plain,) = document(
        "bench",
        DIGITS,
        "-d",
        "virtual:linux-arm64?cpu=cortex-a53",
        "--precision",
        "fp16",
        "--iterations",
        3,
        cwd=tmp_path,
    )["results"]
    assert plain["precision_that_ran"] == "fp32"
    assert "fp16 was asked for" in plain["warnings"][0]
    (half,) = document(
        "bench",
        DIGITS,
        "-d",
        "virtual:linux-arm64?cpu=cortex-a76",
        "--precision",
        "fp16",
        "--iterations",
        3,
        cwd=tmp_path,
    )["results"]
    assert "fp16" in half["precision_that_ran"]
    assert half["warnings"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("bench", DIGITS, "--iterations", 1, "--precision", "fp16"), 17),
        (("bench", DIGITS, "--iterations", 1), 0),
        (("evaluate", DIGITS, "--dataset", DATA, "--limit", 4, "--precision", "fp16"), 17),
        (("evaluate", DIGITS, "--dataset", DATA, "--limit", 4, "--precision", "fp32,fp16"), 17),
    ],
)
def test_layers_in_another_precision_can_be_an_error(words, code, tmp_path):
    device = "virtual:linux-arm64?cpu=cortex-a53"
    told = deployx(*words, "-d", device, "--fail-on-fallback", cwd=tmp_path, code=code)
    assert "digits_cnn" in told.stdout  # what was found is shown
    if code:
        assert "fp16 was asked for, but no layer ran in it" in told.stderr
        assert told.stderr.startswith("error: ") or "\nerror: " in told.stderr


def test_a_fallback_cannot_be_allowed_and_an_error(tmp_path):
    refused(
        *("bench", DIGITS, "-d", "local:", "--fail-on-fallback", "--option", "gpu_fallback=on"),
        cwd=tmp_path,
        code=2,
        says="--fail-on-fallback and --option gpu_fallback=on contradict each other.",
    )


@pytest.mark.parametrize("device", ["local:", "virtual:linux-arm64"])
def test_run_on_a_board_gives_what_onnx_runtime_gives(device, tmp_path):
    import onnxruntime

    content = numpy.load(DIGITS.with_name("digits_test.npz"))
    images = content["image"][:20]
    numpy.savez(tmp_path / "in.npz", image=images)
    deployx("run", DIGITS, "-d", device, "--input", "in.npz", "--output", "out.npz", cwd=tmp_path)
    found = numpy.load(tmp_path / "out.npz")["scores"]
    session = onnxruntime.InferenceSession(str(DIGITS), providers=["CPUExecutionProvider"])
    expected = numpy.concatenate(
        [session.run(["scores"], {"image": image[None]})[0] for image in images]
    )
    numpy.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_run_takes_a_image_through_the_pre_processing(tmp_path):
    image = DIGITS.with_name("digit_3.png")
    deployx(
        "convert",
        DIGITS,
        "-o",
        "digits",
        "--preprocess",
        "resize=8x8,colour=gray,std=255",
        cwd=tmp_path,
    )
    outputs = document("run", "digits", "-d", "local:", "-i", image, cwd=tmp_path)["outputs"]
    scores = numpy.array(outputs["scores"]["values"])
    assert scores.argmax() == 3


def test_run_takes_the_shape_of_a_model_that_leaves_it_open(tmp_path):
    import onnx

    model = onnx.load(DIGITS)
    for axis in (2, 3):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = f"axis{axis}"
    onnx.save(model, tmp_path / "open.onnx")
    image = numpy.load(DIGITS.with_name("digits_test.npz"))["image"][:1]
    numpy.savez(tmp_path / "in.npz", image=image)
    run = ("run", "open.onnx", "-d", "local:", "-i")
    assert "--input image:" in deployx(*run, "in.npz", cwd=tmp_path, code=10).stderr
    shape = "image:" + "x".join(map(str, image.shape))
    assert "nothing to run on" in deployx(*run, shape, cwd=tmp_path, code=2).stderr
    given = document(*run, shape, "-i", "in.npz", cwd=tmp_path)["outputs"]["scores"]["values"]
    fixed = document("run", DIGITS, "-d", "local:", "-i", "in.npz", cwd=tmp_path)["outputs"]
    numpy.testing.assert_allclose(given, fixed["scores"]["values"], rtol=1e-5)


@pytest.mark.parametrize("device", ["local:", "virtual:linux-arm64"])
def test_run_gives_tensors_inside_the_model(device, tmp_path):
    import onnx
    import onnxruntime

    tensors = ["/features/features.5/Relu_output_0", "/features/features.9/MaxPool_output_0"]
    model = onnx.load(DIGITS)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    image = numpy.load(DIGITS.with_name("digits_test.npz"))["image"][:2]
    numpy.savez(tmp_path / "in.npz", image=image)
    words = ("run", DIGITS, "-d", device, "-i", "in.npz", "--output", "out.npz")
    dumps = [word for name in tensors for word in ("--dump", name)]
    deployx(*words, *dumps, cwd=tmp_path)
    found = numpy.load(tmp_path / "out.npz")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for index in range(2):
        expected = session.run(tensors, {"image": image[index : index + 1]})
        for name, array in zip(tensors, expected, strict=True):
            numpy.testing.assert_allclose(found[name][index], array[0], rtol=1e-3, atol=1e-4)
    assert found["scores"].shape == (2, 10)
    failed = deployx(*words, "--dump", "nothing", cwd=tmp_path, code=45)
    assert "no blob is named 'nothing'" in failed.stderr


def test_profile_names_layers_and_sets_their_sum_beside_the_whole(tmp_path):
    profile = document("profile", DIGITS, "-d", "local:", cwd=tmp_path)["result"]["profile"]
    types = [layer["type"] for layer in profile["layers"]]
    assert "Convolution" in types and "ConvolutionDepthWise" in types
    assert all(len(layer["samples_ns"]) == 50 for layer in profile["layers"])
    assert len(profile["whole_ns"]) == 50
    assert "sum of the layers" in deployx("profile", DIGITS, "-d", "local:", cwd=tmp_path).stdout


def test_a_second_push_sends_nothing(tmp_path):
    (tmp_path / "deployx.toml").write_text(
        f'[devices.here]\nuri = "local:"\nwork_folder = "{tmp_path}/work"\n'
    )
    first = document("push", DIGITS, "-d", "here", cwd=tmp_path)
    second = document("push", DIGITS, "-d", "here", cwd=tmp_path)
    assert first["sent_bytes"] == first["total_bytes"] > 0
    assert second["sent_bytes"] == 0
    deployx("clean", "-d", "here", cwd=tmp_path)
    assert not (tmp_path / "work").exists()


def test_devices_are_listed_and_described(tmp_path):
    (tmp_path / "deployx.toml").write_text('[devices.pi]\nuri = "ssh:pi@192.0.2.7"\n')
    names = [d["name"] for d in document("devices", "list", cwd=tmp_path)["devices"]]
    assert names[0] == "pi"
    assert {"local:", "virtual:linux-arm64", "virtual:linux-x64"} <= set(names)
    board = document("devices", "describe", "virtual:linux-arm64", cwd=tmp_path)["board"]
    assert board["machine"] == "aarch64"
    assert board["emulated"] is True
    assert board["memory_bytes"] is None and board["cpu_model"] is None


def test_doctor_and_targets_say_what_is_there(tmp_path):
    checks = {c["name"]: c for c in document("doctor", cwd=tmp_path)["checks"]}
    assert checks["ncnn"]["found"] == "1.0.20261020"
    assert all(c["present"] for c in checks.values() if c["needed"])
    assert "linux-arm64" in deployx("targets", cwd=tmp_path).stdout


BAD = [
    (["bench", DIGITS, "-d", "virtual:linux-arm65"], 2, "linux-arm64"),
    (["bench", DIGITS, "-d", "virtaul:linux-arm64"], 2, "virtual"),
    (["bench", DIGITS, "-d", "nobody"], 2, "devices add nobody"),
    (["build", "--target", "linux-arm65"], 2, "linux-arm64"),
    (["bench", DIGITS, "-d", "local:", "--precision", "fp8"], 2, "fp8"),
    (["bench", DIGITS, "-d", "local:", "--threads", "two"], 2, "two"),
    (["bench", "missing.onnx", "-d", "local:"], 2, "missing.onnx"),
    (["bench", "broken.onnx", "-d", "local:"], 10, "broken.onnx"),
    (["bench", DIGITS, "-d", "local:", "--accelerator", "vulkan"], 45, "vulkan"),
    (["bench", DIGITS, "-d", "local:", "--compare", "broken.onnx"], 2, "broken.onnx"),
    (["run", DIGITS, "-d", "local:", "-i", "wrong.npz"], 2, "image"),
    (["run", DIGITS, "-d", "local:", "-i", "broken.onnx"], 2, "broken.onnx"),
    (["bench", DIGITS, "-d", "ssh:nobody@127.0.0.1:1"], 30, "127.0.0.1"),
    (["clean", "everything"], 2, "everything"),
]


@pytest.mark.parametrize(("words", "code", "says"), BAD, ids=lambda value: str(value)[-40:])
def test_bad_input_is_one_line_with_its_own_exit_code(words, code, says, tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x01not a model")
    numpy.savez(tmp_path / "wrong.npz", image=numpy.zeros((1, 1, 9, 9), numpy.float32))
    before = set(tmp_path.iterdir())
    refused(*words, cwd=tmp_path, code=code, says=says)
    assert set(tmp_path.iterdir()) == before


def test_the_shell_completes_devices_and_targets(tmp_path):
    (tmp_path / "deployx.toml").write_text('[devices.pi]\nuri = "ssh:pi@192.0.2.7"\n')

    def completed(line):
        words = line.split(" ")
        done = subprocess.run(
            [COMMAND],
            cwd=tmp_path,
            env={
                **os.environ,
                "_DEPLOYX_EDGE_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(words) - 1),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.split()

    assert completed("deployx-edge bench model.onnx --device p") == ["pi"]
    assert completed("deployx-edge build --target linux-arm6") == ["linux-arm64"]
    assert "push-and-bench" in completed("deployx-edge push")


def test_several_samples_in_one_run(tmp_path):
    (one,) = document("bench", DIGITS, "-d", "local:", "--threads", 1, cwd=tmp_path)["results"]
    (four,) = document("bench", DIGITS, "-d", "local:", "--threads", 1, "--batch", 4, cwd=tmp_path)[
        "results"
    ]
    assert len(four["bench"]["samples_ns"]) == len(one["bench"]["samples_ns"]) == 100
    assert (one["batch"], four["batch"]) == (1, 4)
    assert four["samples_per_second"] == pytest.approx(4e9 / four["statistics"]["mean"])
    # What a run is fed with; that a worker computes all of it is its own tests' to say.
    (fed,) = random_inputs(make_bundle(DIGITS), 4)
    assert fed.batched and len(fed.array) == 4


def test_debug_shows_the_traceback_wherever_it_stands(tmp_path):
    done = deployx("clean", "everything", "--debug", cwd=tmp_path, code=1)
    assert "Traceback" in done.stderr
