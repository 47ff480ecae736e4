import pytest

from deployx_edge.errors import DeviceStorageError
from deployx_edge.transport.ownership import Place, check_places, listed_places, parse_place


def check(*listed, own=1000, folder="/home/me/work", android=False):
    places = [parse_place(path, line) for path, line in listed]
    check_places(places, own, folder, "board", android=android)


def test_what_ls_prints_is_read():
    line = "drwxr-xr-x.   2 0        65534         4096 Jan  1 00:00 /home/me/a b -> c"
    assert parse_place("/home/me/a b", line) == Place(
        path="/home/me/a b", mode="drwxr-xr-x", uid=0, gid=65534
    )


@pytest.mark.parametrize(
    "line", ["", "ls: no such file", "drwxr-xr-x 2 root root 4096 x", "drwx 2 0 0", "d 2 ² 0 /"]
)
def test_what_is_no_line_of_ls_is_no_place(line):
    assert parse_place("/home", line) is None


def test_facts_of_a_board_become_places():
    lines = [("own", "1000"), ("path", "/home"), ("is", "drwxr-xr-x 3 0 0 1 x /home"), ("is", "")]
    places, own = listed_places(lines)
    assert own == 1000
    assert [place.path for place in places] == ["/home"]
    assert listed_places([("own", "²")]) == ([], None)


def test_a_usual_board_is_trusted():
    check(
        ("/", "drwxr-xr-x 1 0 0"),
        ("/tmp", "drwxrwxrwt 1 0 0"),
        ("/home/me", "drwxrwxr-x 1 1000 1000"),
        ("/home/me/work", "drwxrwxrwt 1 0 0"),
        ("/home/me/work/bin", "drwx------ 1 1000 1000"),
    )


def test_an_android_device_is_trusted_as_such_only():
    data = ("/data", "drwxrwx--x 51 1000 1000")
    places = [data, ("/data/local/tmp", "drwxrwx--x 9 2000 2000")]
    check(*places, own=2000, android=True)
    check(*places, own=0, android=True)
    with pytest.raises(DeviceStorageError, match="/data belongs to the user 1000"):
        check(data, own=2000)


@pytest.mark.parametrize(
    ("path", "line", "reason"),
    [
        ("/home", "drwxr-xr-x 1 1001 0", "/home belongs to the user 1001"),
        ("/home", "drwxrwxrwx 1 0 0", "/home may be written by every user"),
        ("/home", "drwxrwxr-x 1 0 100", "/home may be written by the group 100"),
        ("/tmp", "drwxrwxrwt 1 1001 0", "/tmp belongs to the user 1001"),
        ("/home/me/work/bin", "drwxrwxrwt 1 1000 0", "/home/me/work/bin may be written by every"),
        ("/link", "lrwxrwxrwx 1 1001 0", "/link belongs to the user 1001"),
    ],
)
def test_what_others_could_change_is_named(path, line, reason):
    with pytest.raises(DeviceStorageError, match=reason):
        check((path, line))


def test_a_user_without_a_number_is_judged_by_the_modes_alone():
    check(("/home", "drwxr-xr-x 1 1001 0"), own=None)
    with pytest.raises(DeviceStorageError, match="every user"):
        check(("/home", "drwxr-xrwx 1 1001 0"), own=None)
