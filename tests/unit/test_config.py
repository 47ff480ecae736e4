from __future__ import annotations

from pathlib import Path

import pytest

from deployx_edge.config import load_config
from deployx_edge.device import Device, LinkOptions
from deployx_edge.errors import ConfigError, UsageError


@pytest.fixture(autouse=True)
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "user"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
    return folder / "deployx-edge"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def write(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "deployx.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_is_no_device(project: Path) -> None:
    config = load_config(project)
    assert (config.devices, config.files) == ({}, ())


def test_a_device_with_everything(project: Path) -> None:
    path = write(
        project,
        """
        [devices.pi]
        uri = "ssh:pi@192.0.2.7"
        target = "linux-arm64"
        work_folder = "/data/größe"
        connect_seconds = 5
        silence_seconds = 7.5
        answer_seconds = 30
        ssh_config = "board.ssh"
        lease_folder = "/run/lock/ml"
        [devices.near]
        uri = "local:"
        """,
    )
    config = load_config(project)
    assert config.files == (path,)
    assert config.devices["near"] == Device(name="near", uri="local:")
    assert config.devices["pi"] == Device(
        name="pi",
        uri="ssh:pi@192.0.2.7",
        target="linux-arm64",
        work_folder="/data/größe",
        options=LinkOptions(
            connect_seconds=5.0,
            silence_seconds=7.5,
            answer_seconds=30.0,
            ssh_config=project / "board.ssh",
            lease_folder="/run/lock/ml",
        ),
    )


def test_a_file_of_a_parent_folder_counts(project: Path) -> None:
    path = write(project, '[devices.a]\nuri = "local:"\n')
    below = project / "deep" / "er"
    below.mkdir(parents=True)
    assert load_config(below).files == (path,)


def test_the_nearest_file_counts_alone(project: Path) -> None:
    write(project, '[devices.a]\nuri = "local:"\n')
    nearer = write(project / "deep", '[devices.b]\nuri = "local:"\n')
    config = load_config(project / "deep")
    assert (set(config.devices), config.files) == ({"b"}, (nearer,))


def test_the_user_s_file_lies_below(project: Path, user_folder: Path) -> None:
    theirs = write(user_folder, '[devices.a]\nuri = "ssh:old"\n[devices.b]\nuri = "ssh:b"\n')
    ours = write(project, '[devices.a]\nuri = "ssh:new"\n')
    config = load_config(project)
    assert config.files == (ours, theirs)
    assert {name: device.uri for name, device in config.devices.items()} == {
        "a": "ssh:new",
        "b": "ssh:b",
    }


def test_one_device_of_both_files_has_the_keys_of_both(project: Path, user_folder: Path) -> None:
    write(user_folder, '[devices.pi]\nssh_config = "mine"\nkeep_mib = 5\nsilence_seconds = 5\n')
    write(project, '[devices.pi]\nuri = "ssh:pi"\nsilence_seconds = 9\n')
    pi = load_config(project).devices["pi"]
    assert (pi.uri, pi.keep_mib, pi.options.silence_seconds) == ("ssh:pi", 5, 9)
    assert pi.options.ssh_config == user_folder / "mine"
    # Elsewhere the user's half says nothing, and does no harm.
    assert load_config(user_folder.parent).devices == {}


@pytest.mark.parametrize("name", ["my board", 'the "big" one', "größe", "a.b/c", "it's"])
def test_names_are_any_words(project: Path, name: str) -> None:
    quoted = name.replace('"', '\\"')
    write(project, f'[devices."{quoted}"]\nuri = "local:"\n')
    assert load_config(project).find_device(name).uri == "local:"


class TestFindDevice:
    def test_a_list_holds_addresses_with_commas(self, project: Path) -> None:
        write(project, '[devices.pi]\nuri = "ssh:a"\n[devices."my board"]\nuri = "ssh:b"\n')
        virtual = "virtual:linux-riscv64?cpu=rv64,v=true,vlen=128"
        found = load_config(project).find_devices(f"pi, {virtual},my board,local:")
        assert [device.name for device in found] == ["pi", virtual, "my board", "local:"]
        with pytest.raises(UsageError, match="'pi' stands twice"):
            load_config(project).find_devices("pi,local:,pi")
        with pytest.raises(UsageError, match="no device 'x'"):
            load_config(project).find_devices("pi,x")

    def test_by_name_and_by_address(self, project: Path) -> None:
        write(project, '[devices.pi]\nuri = "ssh:pi@192.0.2.7"\n')
        config = load_config(project)
        assert config.find_device("pi").uri == "ssh:pi@192.0.2.7"
        uri = "virtual:linux-arm64?cpu=cortex-a76"
        assert config.find_device(uri) == Device(name=uri, uri=uri)

    def test_an_unknown_name_gets_the_nearest(self, project: Path) -> None:
        write(project, '[devices.rockpi]\nuri = "ssh:x"\n[devices.jetson]\nuri = "ssh:y"\n')
        with pytest.raises(UsageError, match="no device 'rokpi'") as caught:
            load_config(project).find_device("rokpi")
        assert caught.value.remedy == "Did you mean rockpi?"

    def test_without_any_it_says_how_to_name_one(self, project: Path) -> None:
        with pytest.raises(UsageError) as caught:
            load_config(project).find_device("pi")
        assert "deployx-edge devices add pi ssh:user@host" in caught.value.remedy
        with pytest.raises(UsageError) as caught:
            load_config(project).find_device("my pi")
        assert "deployx-edge devices add 'my pi' ssh:user@host" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ('[device.pi]\nuri = "local:"', "unknown key device", "Did you mean devices?"),
        ('[devices.pi]\nurl = "local:"', "unknown key devices.pi.url", "Did you mean uri?"),
        ('[devices.pi]\nuri = "local:"\nx = 1', "unknown key devices.pi.x", "Known: uri"),
        ("[devices.pi]\n", "devices.pi.uri", 'uri = "ssh:pi@192.0.2.7"'),
        ('[devices.pi]\nuri = "192.0.2.7"', "devices.pi.uri", 'uri = "ssh:'),
        ("[devices.pi]\nuri = 7", "devices.pi.uri must be a text", ""),
        ('[devices.pi]\nuri = ""', "devices.pi.uri must be a text", ""),
        (
            '[devices.pi]\nuri = "local:"\ntarget = "linux-arm"',
            "devices.pi.target: There is no target 'linux-arm'",
            "linux-arm64",
        ),
        ('[devices.pi]\nuri = "local:"\nsilence_seconds = 0', "devices.pi.silence_seconds", ""),
        ('[devices.pi]\nuri = "local:"\nsilence_seconds = inf', "silence_seconds", ""),
        ('[devices.pi]\nuri = "local:"\nsilence_seconds = true', "silence_seconds", ""),
        ('[devices.pi]\nuri = "local:"\nconnect_seconds = "5"', "connect_seconds", ""),
        ('[devices."a:b"]\nuri = "local:"', "device name 'a:b'", ""),
        ('[devices."a,b"]\nuri = "local:"', "device name 'a,b'", ""),
        ('[devices." a"]\nuri = "local:"', "device name ' a'", ""),
        ('[devices.pi]\nuri = "local:"\nkeep_mib = 0', "devices.pi.keep_mib", ""),
        (
            '[devices.pi]\nuri = "ssh:x"\nlease_folder = "tmp"',
            "devices.pi.lease_folder must be an absolute path",
            "",
        ),
        ("devices = 3", "devices must be a table", ""),
        ("[devices]\npi = 3", "devices.pi must be a table", ""),
        ("[devices.pi", "cannot be read as TOML", ""),
    ],
)
def test_mistakes_name_file_and_key(project: Path, text: str, key: str, remedy: str) -> None:
    path = write(project, text)
    with pytest.raises(ConfigError) as caught:
        load_config(project)
    assert str(path) in caught.value.message
    assert key in caught.value.message
    assert remedy in caught.value.remedy


def test_a_file_that_is_no_text(project: Path) -> None:
    (project / "deployx.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"deployx\.toml cannot be read"):
        load_config(project)


def test_how_to_build_for_android_is_merged_key_by_key(project: Path, user_folder: Path) -> None:
    assert load_config(project).android.ndk is None
    write(user_folder, '[toolchains.android]\nndk = "/opt/ndk"\napi = 29\n')
    assert (load_config(project).android.ndk, load_config(project).android.api) == (
        Path("/opt/ndk"),
        29,
    )
    write(project, "[toolchains.android]\napi = 33\n")
    android = load_config(project).android
    assert (android.ndk, android.api) == (Path("/opt/ndk"), 33)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("toolchains = 3", r"toolchains must be a table"),
        ("[toolchains.androit]", r"unknown key toolchains\.androit\. Did you mean android"),
        ("[toolchains.android]\nndk = 3", r"toolchains\.android\.ndk must be a text"),
        ('[toolchains.android]\napi = "24"', r"toolchains\.android\.api must be an API level"),
        ("[toolchains.android]\nsdk = 1", r"unknown key toolchains\.android\.sdk"),
    ],
)
def test_what_android_cannot_be_built_by_is_named(project: Path, text: str, says: str) -> None:
    write(project, text)
    with pytest.raises(ConfigError, match=says):
        load_config(project)
