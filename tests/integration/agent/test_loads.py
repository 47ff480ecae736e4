"""What a load may bring along: options by name, shared libraries, and a preparation."""

from __future__ import annotations

import itertools
import signal

import grpc
import pytest

from deployx_edge.agent.v1 import agent_pb2 as pb
from tests.integration.agent.session import failure_of
from tests.integration.processes import children, wait_until


def refused(session, code, **fields):
    """How a load is refused; the agent must serve on and leave nothing."""
    with pytest.raises(grpc.RpcError) as caught:
        list(session.call("Load", session.load_request(**fields)))
    failure = failure_of(caught.value)
    assert failure.code == code, failure
    wait_until(lambda: not children(session.pid), "the end of the worker")
    (folder,) = (session.work / "sessions").iterdir()
    assert {path.suffix for path in folder.iterdir()} <= {"", ".log"}
    assert not [path for path in folder.iterdir() if path.is_dir()]
    return failure


def told(session, what, **fields):
    """What the worker says of its load."""
    *_, last = session.call("Load", session.load_request(outputs=["in0", what], **fields))
    (reply,) = session.infer(last.loaded.model_id, 1)
    (text,) = [each.data.decode() for each in reply.outputs if each.name == what]
    return text, last.loaded


# ---- options


def test_options_reach_the_worker_by_name_with_the_usual_values(session):
    options = pb.RunOptions(precision="fp16", named={"mode": "exact", "spin": "off"})
    text, _ = told(session, "options", options=options)
    assert text == "precision=fp16 level=2 mode=exact spin=off"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"moed": "fast"}, "test has no option 'moed'; the nearest are mode"),
        ({"mode": "slow"}, "option mode of test: expected one of fast, exact, got 'slow'"),
        ({"level": "4"}, "a whole number from -1 to 3, got '4'"),
    ],
)
def test_a_wrong_option_is_refused_by_the_worker(session, named, said):
    options = pb.RunOptions(named=named)
    failure = refused(session, pb.FAILURE_OPTION_REFUSED, options=options)
    assert said in failure.message
    assert failure.phase == pb.PHASE_LOAD


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({f"o{i}": "on" for i in range(65)}, "at most 64 options, got 65"),
        ({"note": "x" * 201}, "at most 200 bytes, got 'note'"),
        ({"x" * 201: "on"}, "at most 200 bytes"),
    ],
    ids=["many", "long value", "long name"],
)
def test_too_many_or_too_long_options_are_refused_by_the_agent(session, named, said):
    failure = refused(session, pb.FAILURE_INVALID_REQUEST, options=pb.RunOptions(named=named))
    assert said in failure.message


# ---- what a runtime tells, and does not tell


def test_the_version_of_a_library_is_known_after_its_load(session):
    _, loaded = told(session, "options", words="load version 27\n")
    assert loaded.runtime_version == "27"
    _, loaded = told(session, "options")
    assert loaded.runtime_version == "1"


def test_what_a_runtime_does_not_tell_of_its_layers_stays_untold(session):
    model = session.load("run untold\n")
    summary = session.bench(model, iterations=2)[-1].summary
    assert (summary.runs, list(summary.precisions)) == (2, [])
    layer = next(e.layer for e in session.profile(model) if e.HasField("layer"))
    assert (layer.element_bits, layer.packing, layer.precision) == (0, 0, "")


def test_layers_that_are_told_after_the_last_run_count_as_others(session):
    model = session.load("run kept\n")
    (count,) = session.bench(model, iterations=2)[-1].summary.precisions
    assert (count.precision, count.layers) == ("fp32", 1)
    events = session.profile(model, iterations=4)
    (layer,) = [event.layer for event in events if event.HasField("layer")]
    assert len(layer.ns) == len(events[-1].summary.whole_ns) == 4
    assert all(ns > 0 for ns in layer.ns)


# ---- libraries


def test_libraries_lie_under_their_names_until_the_model_goes(session):
    contents = {"libone.so.1": b"one", "libtwo.so": b"two", "same.so": b"one"}
    text, loaded = told(session, "libraries", libraries=contents)
    rows = [line.split(" ") for line in text.splitlines()]
    assert {name: content.encode() for name, _, content in rows} == contents
    (folder,) = {path.rpartition("/")[0] for _, path, _ in rows}
    assert folder.startswith(f"{session.work}/sessions/")
    other, _ = told(session, "libraries", libraries={"libone.so.1": b"another"})
    assert other.split(" ")[2] == "another\n"
    session.call("Unload", pb.UnloadRequest(model_id=loaded.model_id))
    (left,) = (session.work / "sessions").glob("*/libraries-*")
    assert str(left) != folder


@pytest.mark.parametrize("name", ["", ".so", "../x", "a/b", "a b", "ä", "x" * 101])
def test_a_library_has_the_name_of_a_file(session, name):
    failure = refused(session, pb.FAILURE_INVALID_REQUEST, libraries={name: b""})
    assert "the name of a library" in failure.message


def test_a_library_is_there_once_whole_and_undamaged(session):
    request = session.load_request(libraries={"a.so": b"code"})
    twice = [*request.files, request.files[-1]]
    assert "once" in refused(session, pb.FAILURE_INVALID_REQUEST, files=twice).message
    missing = pb.ModelFile(role="library", name="b.so", sha256="0" * 64)
    refused(session, pb.FAILURE_MISSING_FILE, files=[*request.files, missing])
    (session.work / "store" / request.files[-1].sha256).write_bytes(b"c0de")
    failure = refused(session, pb.FAILURE_DAMAGED_FILE, files=request.files)
    assert request.files[-1].sha256 in failure.message


def test_libraries_go_when_their_worker_dies_in_the_load(session):
    words = f"load crash {signal.SIGSEGV}\n"
    refused(session, pb.FAILURE_WORKER_CRASHED, words=words, libraries={"a.so": b"code"})


# ---- preparation


@pytest.fixture
def preparing(start):
    """A session whose worker prepares."""
    one = start(environment={"DX_TEST_PREPARES": "1"})
    one.shake()
    return one


def prepared_files(session):
    return sorted((session.work / "prepared").glob("*.*"))


def phases_of(events):
    return [event.phase for event in events if event.HasField("phase")]


PREPARED = [pb.PHASE_SPAWN, pb.PHASE_PREPARE, pb.PHASE_LOAD]
REUSED = [pb.PHASE_SPAWN, pb.PHASE_LOAD]


def load_phases(session, **fields):
    return phases_of(session.call("Load", session.load_request(**fields)))


def test_a_preparation_is_told_kept_and_used_again(preparing, start):
    words = "prepare progress 3\n"
    events = list(preparing.call("Load", preparing.load_request(words)))
    assert phases_of(events) == PREPARED
    progress = [event.progress for event in events if event.HasField("progress")]
    assert [each.text for each in progress] == ["part 0", "part 1", "part 2"]
    assert [round(each.fraction, 2) for each in progress] == [0, 0.33, 0.67]
    (kept,) = prepared_files(preparing)
    assert kept.read_text() == f"made of {words}"
    text, _ = told(preparing, "prepared", words="prepare log 1\n")
    assert text == "made of prepare log 1\n"
    assert load_phases(preparing, words=words) == REUSED
    assert not list((preparing.work / "sessions").glob("*/prepared-*"))

    later = start(environment={"DX_TEST_PREPARES": "1"})
    later.shake()
    assert load_phases(later, words=words) == REUSED
    assert kept in prepared_files(later)


def test_a_preparation_is_made_again_where_anything_of_it_is_another(preparing):
    usual = {"words": "", "libraries": {"a.so": b"code"}, "options": pb.RunOptions()}
    others = [
        {"words": "load log 1\n"},
        {"libraries": {"a.so": b"c0de"}},
        {"libraries": {"b.so": b"code"}},
        {"options": pb.RunOptions(precision="fp16")},
        {"options": pb.RunOptions(named={"mode": "fast"})},
        {"outputs": ["in0"]},
    ]
    for changes in ({}, *others):
        assert load_phases(preparing, **{**usual, **changes}) == PREPARED
    assert len(prepared_files(preparing)) == 1 + len(others)
    # How it runs, the words for the usual, and the name of what a preparing worker computes on.
    same = [pb.RunOptions(threads=1), pb.RunOptions(accelerator="cpu")]
    same += [pb.RunOptions(named={"level": "2"})]
    for changes in ({}, *others, *({"options": options} for options in same)):
        assert load_phases(preparing, **{**usual, **changes}) == REUSED


def test_a_preparation_is_made_again_where_the_worker_tells_of_another_gpu(start):
    for feature, phases in (("sm_87", PREPARED), ("sm_72", PREPARED), ("sm_87", REUSED)):
        environment = {"DX_TEST_PREPARES": "1", "DX_TEST_FEATURE": feature}
        session = start(environment=environment)
        session.shake()
        assert load_phases(session) == phases


def test_what_was_prepared_is_made_again_where_that_is_asked_for_once_a_session(preparing, start):
    assert load_phases(preparing) == PREPARED
    assert load_phases(preparing, rebuild=True) == PREPARED
    # A repeated measurement loads the model again; it is not built for each.
    assert load_phases(preparing, rebuild=True) == REUSED
    assert len(prepared_files(preparing)) == 1
    later = start(environment={"DX_TEST_PREPARES": "1"})
    later.shake()
    assert load_phases(later) == REUSED
    assert load_phases(later, rebuild=True) == PREPARED
    assert len(prepared_files(later)) == 1


def test_a_preparation_that_fails_is_made_again_the_next_time_it_is_asked_for(preparing):
    words = "prepare progress 20\n"
    assert load_phases(preparing, words=words) == PREPARED
    with pytest.raises(grpc.RpcError) as caught:
        load_phases(preparing, words=words, rebuild=True, prepare_ms=1)
    assert failure_of(caught.value).code == pb.FAILURE_WATCHDOG
    assert load_phases(preparing, words=words, rebuild=True) == PREPARED
    assert load_phases(preparing, words=words, rebuild=True) == REUSED


def test_what_a_preparation_keeps_for_the_next_outlives_the_session(preparing):
    for words in ("load log 1\n", "load log 2\n"):
        assert load_phases(preparing, words=words) == PREPARED
    assert (preparing.work / "prepared" / "kept").read_text() == "once\nonce\n"
    assert load_phases(preparing, words=words) == REUSED
    assert (preparing.work / "prepared" / "kept").read_text() == "once\nonce\n"


def test_a_damaged_preparation_is_made_again(preparing):
    load_phases(preparing)
    (kept,) = prepared_files(preparing)
    kept.write_bytes(b"made 0f ")
    assert load_phases(preparing) == PREPARED
    assert prepared_files(preparing) == [kept]
    assert kept.read_bytes() == b"made of "


WRONG = [
    (f"crash {signal.SIGSEGV}", pb.FAILURE_WORKER_CRASHED),
    ("exit 3", pb.FAILURE_WORKER_EXITED),
    ("fail", pb.FAILURE_RUNTIME_REFUSED),
    ("garbage", pb.FAILURE_WORKER_EXITED),
    ("hang", pb.FAILURE_WATCHDOG),
    ("progress 1000000", pb.FAILURE_WATCHDOG),
    ("eat", pb.FAILURE_MEMORY_LIMIT),
]


@pytest.mark.parametrize(("action", "code"), WRONG, ids=[action for action, _ in WRONG])
def test_a_preparation_that_goes_wrong_is_told_and_leaves_nothing(preparing, action, code):
    limits = {"prepare_ms": 1500 if code == pb.FAILURE_WATCHDOG else 0}
    if code == pb.FAILURE_MEMORY_LIMIT:
        limits["memory_limit_bytes"] = 300 << 20
    failure = refused(preparing, code, words=f"prepare {action}\n", **limits)
    assert failure.phase == pb.PHASE_PREPARE
    assert not prepared_files(preparing)
    assert not list((preparing.work / "sessions").glob("*/prepared-*"))
    assert load_phases(preparing) == PREPARED


def test_a_cancelled_preparation_leaves_nothing(preparing):
    call = preparing.call("Load", preparing.load_request("prepare progress 1000000\n"))
    list(itertools.takewhile(lambda event: not event.HasField("progress"), call))
    call.cancel()
    wait_until(lambda: not children(preparing.pid), "the end of the worker")
    sessions = preparing.work / "sessions"
    wait_until(lambda: not list(sessions.glob("*/prepared-*")), "the end of what was half made")
    assert not prepared_files(preparing)
    assert load_phases(preparing) == PREPARED


def test_what_cannot_be_loaded_is_not_kept(preparing):
    failure = refused(preparing, pb.FAILURE_RUNTIME_REFUSED, words="load fail\n")
    assert failure.phase == pb.PHASE_LOAD
    assert not prepared_files(preparing)
