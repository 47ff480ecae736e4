from __future__ import annotations

from deployx_edge.transport.output import OutputTail


def test_a_tail_keeps_the_end_alone() -> None:
    tail = OutputTail(keep_all=False)
    for number in range(100_000):
        tail.add(f"line {number}\n".encode())
    lines = tail.tail().splitlines()
    assert lines[-1] == "line 99999"
    assert len(lines) == 20
    assert len(tail.everything()) < 20_000


def test_all_is_kept_where_it_is_asked_for() -> None:
    tail = OutputTail(keep_all=True)
    for _ in range(100):
        tail.add(bytes(1000))
    assert tail.everything() == bytes(100_000)


def test_nothing_is_an_empty_tail() -> None:
    tail = OutputTail(keep_all=False)
    assert (tail.tail(), tail.everything()) == ("", b"")
    tail.add(b"")
    assert tail.tail() == ""


def test_broken_text_is_shown_all_the_same() -> None:
    tail = OutputTail(keep_all=False)
    tail.add(b"\xffend\n\n")
    assert tail.tail() == "\ufffdend"
