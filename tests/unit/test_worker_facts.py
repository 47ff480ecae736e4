"""What workers say of themselves, and what of it may be asked for."""

import json

import pytest

from deployx_edge.errors import BuildError, UsageError
from deployx_edge.worker_facts import (
    check_option_words,
    check_options,
    has_option,
    options_text,
    read_worker_facts,
    worker_facts,
    worker_names,
)

FACTS = {
    "name": "some",
    "packages": ["some/1.0"],
    "c_library": "glibc 2.28",
    "libraries": ["libsome.so.1"],
    "prepares": True,
    "options": [
        {"name": "threads", "kind": "number", "range": [0, 8], "default": "2", "help": "Threads."},
        {"name": "mode", "kind": "choice", "values": ["fast", "exact"], "help": "The mode."},
        {"name": "spin", "kind": "switch", "help": "Spins."},
        {"name": "note", "kind": "text", "help": "A note."},
    ],
}


@pytest.fixture
def facts_file(tmp_path):
    """Writes facts, with changes, to where they belong."""

    def write(**changes):
        path = tmp_path / "some" / "worker.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({**FACTS, **changes}))
        return path

    return write


def test_libraries_are_read_by_machine_and_by_processor(facts_file):
    more = {"aarch64": ["libnpu_stub.so", "libnpu.so"]}
    path = facts_file(
        machine_libraries=more,
        other_processors={"EM_QDSP6": ["libnpu.so"]},
        processors={"aarch64": "an NPU"},
        emulators={"x86_64": "an emulator"},
        soc_libraries=[
            {"socs": ["one", "two"], "libraries": ["liba.so", "libboth.so"]},
            {"socs": ["three"], "libraries": ["libc.so", "libboth.so"]},
        ],
        soc_numbers={"519": "one"},
        prepared_file={"role": "context", "spares": ["liba.so"]},
    )
    facts = read_worker_facts(path)
    assert facts.libraries_on("x86_64") == ("libsome.so.1",)
    assert facts.libraries_on("aarch64") == ("libsome.so.1", "libnpu_stub.so", "libnpu.so")
    assert facts.other_processor("libnpu.so") == "EM_QDSP6"
    assert facts.other_processor("libnpu_stub.so") == ""
    assert (facts.emulator("x86_64"), facts.emulator("aarch64")) == ("an emulator", "")
    assert (facts.processor("x86_64"), facts.processor("aarch64")) == ("", "an NPU")
    assert (facts.chips.numbered("519"), facts.chips.numbered("51")) == ("one", "")
    assert (facts.chips.prepared_role, facts.chips.spared) == ("context", ("liba.so",))
    useless = {soc: facts.chips.useless_on(soc) for soc in ("one", "two", "three", "four", "")}
    assert useless == {
        "one": {"libc.so"},
        "two": {"libc.so"},
        "three": {"liba.so"},
        "four": set(),
        "": set(),
    }


def test_facts_are_read(facts_file):
    facts = read_worker_facts(facts_file())
    assert (facts.name, facts.glibc, facts.prepares) == ("some", "2.28", True)
    assert facts.libraries == ("libsome.so.1",)
    threads, mode, spin, note = facts.options
    assert not any(each.remakes for each in facts.options)
    assert (threads.minimum, threads.maximum, threads.default) == (0, 8, "2")
    assert [each.expects for each in (threads, mode, spin)] == [
        "a whole number from 0 to 8",
        "one of fast, exact",
        "on or off",
    ]
    takes = {threads: "0 8", mode: "fast exact", spin: "on off", note: "x"}
    refuses = {threads: "-1 9 1.5 two", mode: "slow FAST fast,exact", spin: "1 true ON", note: ""}
    for option, values in takes.items():
        assert all(option.takes(value) for value in values.split())
    for option, values in refuses.items():
        assert not any(option.takes(value) for value in (*values.split(), "", "x" * 201))


BROKEN_OPTIONS = [
    ({"kind": "float"}, '"kind" of spin'),
    ({"help": "spins"}, '"help" of spin is not a whole sentence'),
    ({"values": ["a"]}, "only a choice"),
    ({"range": [0, 3]}, "only a number"),
    ({"range": [0]}, '"range" of spin'),
    ({"default": "maybe"}, '"default" of spin is not on or off'),
    ({"name": "Spin it"}, '"name"'),
    ({"remakes": "on"}, '"remakes" of spin is neither true nor false'),
    ({"only_runs": 1}, '"only_runs" of spin is neither true nor false'),
    ({"colour": "red"}, 'unknown member "colour"'),
]


@pytest.mark.parametrize(("changes", "said"), BROKEN_OPTIONS, ids=lambda each: str(each)[:30])
def test_a_broken_option_is_told(changes, said, facts_file):
    option = {"name": "spin", "kind": "switch", "help": "Spins.", **changes}
    with pytest.raises(BuildError, match=said):
        read_worker_facts(facts_file(options=[option]))


BROKEN_FILES = [
    ({"name": "other"}, "is of 'other', its folder of 'some'"),
    ({"c_library": "musl"}, '"c_library" is not a text of the form'),
    ({"prepares": 1}, '"prepares" is neither true nor false'),
    ({"libraries": ["../libc.so"]}, '"libraries"'),
    ({"libraries": "lib.so"}, '"libraries"'),
    ({"machine_libraries": ["libsome.so"]}, '"machine_libraries" does not name libraries'),
    ({"machine_libraries": {"aarch64": ["a/b.so"]}}, '"aarch64" is not a list'),
    ({"other_processors": "EM_QDSP6"}, '"other_processors" does not name libraries'),
    ({"emulators": {"x86_64": ""}}, '"emulators" does not say'),
    ({"processors": ["aarch64"]}, '"processors" does not say'),
    ({"soc_libraries": {"sm8550": ["liba.so"]}}, '"soc_libraries" is not a list'),
    ({"soc_libraries": [{"socs": ["one"], "libraries": "liba.so"}]}, '"libraries"'),
    ({"soc_numbers": {"sm8550": "519"}}, '"soc_numbers" does not name chips'),
    ({"soc_numbers": {"519": 8550}}, '"soc_numbers" does not name chips'),
    ({"prepared_file": {"role": "context"}, "soc_numbers": []}, '"soc_numbers"'),
    ({"prepared_file": {"role": "../x", "spares": []}}, '"role"'),
    ({"prepared_file": {"role": "x", "spares": ["a/b"]}}, '"spares"'),
    ({"prepared_file": {"file": "x"}}, 'unknown member "file"'),
    ({"options": {}}, '"options"'),
    ({"options": [FACTS["options"][2]] * 2}, "twice"),
    ({"license": "MIT"}, 'unknown member "license"'),
]


@pytest.mark.parametrize(("changes", "said"), BROKEN_FILES, ids=lambda each: str(each)[:30])
def test_a_broken_file_is_told(changes, said, facts_file):
    with pytest.raises(BuildError, match=said):
        read_worker_facts(facts_file(**changes))


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "null"])
def test_what_is_no_object_is_told(text, facts_file):
    path = facts_file()
    path.write_text(text)
    with pytest.raises(BuildError, match=r"worker\.json cannot be used"):
        read_worker_facts(path)


def test_every_worker_of_ours_has_facts_that_can_be_read():
    assert "ncnn" in worker_names()
    for name in worker_names():
        assert worker_facts(name).name == name


def test_an_option_that_a_runtime_lacks_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="ncnn has no option 'fp16_stoarge'") as caught:
        check_options("ncnn", [("fp16_stoarge", "on")])
    assert "fp16_storage" in caught.value.remedy
    with pytest.raises(UsageError, match="No runtime has an option 'fp16_stoarge'") as caught:
        check_option_words([("fp16_stoarge", "on")])
    assert "fp16_storage" in caught.value.remedy


def test_a_value_that_an_option_lacks_is_refused_with_what_it_takes():
    for check in (lambda pairs: check_options("ncnn", pairs), check_option_words):
        check([("winograd_convolution", "off"), ("sgemm_convolution", "on")])
        with pytest.raises(UsageError, match="expects on or off, not '1'"):
            check([("winograd_convolution", "1")])


def test_a_runtime_without_a_worker_is_told():
    with pytest.raises(UsageError, match="no worker for the runtime 'caffe'") as caught:
        check_options("caffe", [("spin", "on")])
    assert "ncnn" in caught.value.remedy
    check_options("caffe", [])


def test_the_help_names_every_option():
    text = options_text()
    for name in worker_names():
        for option in worker_facts(name).options:
            assert f"{option.name} ({option.expects})" in text


def test_a_runtime_that_no_board_has_is_one_without_options():
    assert has_option("onnxruntime", "spinning")
    assert not has_option("onnxruntime", "not_one")
    assert not has_option("not-a-runtime", "spinning")
