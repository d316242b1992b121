"""Conditional requests, ranges and file names in headers (RFC 9110, RFC 6266)."""

from __future__ import annotations

import pytest

from service.library.conditional import ByteRange, Unsatisfiable, content_disposition, is_fresh, wanted_range

TAG = '"abc"'
ENDLESS = "9" * 5000


@pytest.mark.parametrize(
    ("header", "fresh"),
    [
        (None, False),
        ("", False),
        ('"abc"', True),
        ('W/"abc"', True),
        ('"x", "abc"', True),
        (' "x" ,W/"abc" ', True),
        ("*", True),
        ('"abcd"', False),
        ("abc", False),
    ],
)
def test_what_the_client_has_is_compared_weakly(header: str | None, fresh: bool) -> None:
    assert is_fresh(header, TAG) is fresh


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 6)),
        ("Bytes = 2-5", None),
        ("bytes= 2 - 5 ", ByteRange(2, 6)),
        ("bytes=5-", ByteRange(5, 10)),
        ("bytes=5-99", ByteRange(5, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-30", ByteRange(0, 10)),
        ("bytes=9-", ByteRange(9, 10)),
        (f"bytes=5-{ENDLESS}", ByteRange(5, 10)),
        (f"bytes=-{ENDLESS}", ByteRange(0, 10)),
        (f"bytes={'0' * 9000}2-{'0' * 9000}5", ByteRange(2, 6)),
        (f"bytes={ENDLESS}-5", None),
        ("bytes=5-2", None),
        ("bytes=-", None),
        ("bytes=0-1,4-5", None),
        ("bytes=a-b", None),
        ("items=0-1", None),
        ("bytes=٣-٤", None),
        ("", None),
    ],
)
def test_one_range_of_bytes_is_served_and_everything_else_ignored(header: str, expected: ByteRange | None) -> None:
    assert wanted_range({"range": header}, TAG, 10) == expected


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("bytes=10-", 10),
        ("bytes=99-100", 10),
        ("bytes=-0", 10),
        ("bytes=-1", 0),
        (f"bytes={ENDLESS}-", 10),
        (f"bytes={ENDLESS}-{ENDLESS}", 10),
    ],
)
def test_a_range_behind_the_end_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable):
        wanted_range({"range": header}, TAG, size)


@pytest.mark.parametrize(
    ("if_range", "partial"),
    [(TAG, True), ('"other"', False), (f"W/{TAG}", False), ("Sun, 01 Mar 2026 00:00:00 GMT", False)],
)
def test_a_range_of_other_bytes_than_these_becomes_the_whole(if_range: str, partial: bool) -> None:
    assert (wanted_range({"range": "bytes=0-1", "if-range": if_range}, TAG, 10) is not None) is partial


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("a b.png", 'attachment; filename="a b.png"'),
        ('say "hi".png', "attachment; filename=\"say _hi_.png\"; filename*=UTF-8''say%20%22hi%22.png"),
        ("häuser.png", "attachment; filename=\"h_user.png\"; filename*=UTF-8''h%C3%A4user.png"),
        ("100%.png", "attachment; filename=\"100_.png\"; filename*=UTF-8''100%25.png"),
        ("a\r\nb", "attachment; filename=\"a__b\"; filename*=UTF-8''a%0D%0Ab"),
    ],
)
def test_any_file_name_fits_in_a_header(filename: str, header: str) -> None:
    assert content_disposition("attachment", filename) == header
    assert header.isascii()
    assert "\n" not in header
