"""Reading by pages, encodings, limits; listing."""

from __future__ import annotations

import codecs
import os
import random
import resource
import threading
import tracemalloc
from pathlib import Path

import pytest

from agent_wsl.codec import encode
from agent_wsl.envelope import MAX_REPLY, MAX_TEXT, ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.files.reading import Files, behind
from agent_wsl.files.root import Roots
from agent_wsl.protocol import FileText, ListDir, ReadFile

MIB = 1 << 20


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(Roots([tmp_path]), 10 * MIB)


def read_all(files: Files, path: str, limit: int = 100_000) -> tuple[str, list[FileText]]:
    pages, offset = [], 0
    while True:
        page = files.read(ReadFile(path, offset, limit))
        assert page.offset == offset
        assert page.lines <= limit
        assert len(page.text) <= MAX_TEXT
        pages.append(page)
        if page.next_offset is None:
            return "".join(page.text for page in pages), pages
        assert page.next_offset == offset + page.lines > offset
        offset = page.next_offset


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom"])
@pytest.mark.parametrize("seed", range(6))
def test_the_pages_make_up_the_file(tmp_path: Path, files: Files, encoding: str, seed: int) -> None:
    """\u0a0a and \u010a hold the byte of a newline in UTF-16; the sizes make characters straddle the reads."""
    rng = random.Random(seed)
    alphabet = ["a", "é", "€", "\U0001f600", "\u0a0a", "\u010a", "\n", "\r\n", " "]
    text = "".join(rng.choices(alphabet, [30, 2, 2, 1, 1, 1, 1, 1, 9], k=rng.choice([0, 1, 100, 300_000, 1_100_000])))
    big_endian = encoding == "utf-16-be-bom"
    data = codecs.BOM_UTF16_BE + text.encode("utf-16-be") if big_endian else text.encode(encoding)
    (tmp_path / "f").write_bytes(data)
    limit = rng.choice([1000, 5000, 100_000])
    read, pages = read_all(files, "f", limit)
    assert read == text
    expected = {"utf-16": "utf-16-le", "utf-16-be-bom": "utf-16-be"}.get(encoding, "utf-8")
    assert {page.encoding for page in pages} == {expected}
    assert not any(page.cut or page.binary for page in pages)
    assert sum(page.lines for page in pages) == len(text.split("\n")) - (text.endswith("\n") or not text)


@pytest.mark.parametrize(
    ("data", "offset", "limit", "text", "lines", "next_offset"),
    [
        (b"", 0, 1, "", 0, None),
        (b"a", 0, 1, "a", 1, None),
        (b"a\n", 0, 1, "a\n", 1, None),
        (b"a\nb", 0, 1, "a\n", 1, 1),
        (b"a\nb", 1, 1, "b", 1, None),
        (b"a\nb\n", 1, 9, "b\n", 1, None),
        (b"\n\n\n", 1, 1, "\n", 1, 2),
        (b"a\r\nb\r\n", 0, 1, "a\r\n", 1, 1),
        (b"a\rb", 0, 1, "a\rb", 1, None),
        (b"\xef\xbb\xbfa\nb", 1, 5, "b", 1, None),
    ],
    ids=repr,
)
def test_edges_of_pages(
    tmp_path: Path, files: Files, data: bytes, offset: int, limit: int, text: str, lines: int, next_offset: int | None
) -> None:
    (tmp_path / "f").write_bytes(data)
    page = files.read(ReadFile("f", offset, limit))
    assert (page.text, page.offset, page.lines, page.next_offset) == (text, offset, lines, next_offset)
    assert page.size == len(data)
    assert page.path == str(tmp_path / "f")
    assert page.modified == (tmp_path / "f").stat().st_mtime


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("content", "total"), [("a\nb", 2), ("a\nb\n", 2), ("", 0)])
def test_an_offset_behind_the_end(tmp_path: Path, files: Files, encoding: str, content: str, total: int) -> None:
    (tmp_path / "f").write_bytes(content.encode(encoding))
    page = files.read(ReadFile("f", 10**12))
    assert (page.text, page.lines, page.next_offset, page.offset) == ("", 0, None, total)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("after", "more"), [("", None), ("\n", None), ("\nnext", 1), ("\n\n", 1)])
def test_a_line_longer_than_a_page_is_cut(
    tmp_path: Path, files: Files, encoding: str, after: str, more: int | None
) -> None:
    (tmp_path / "f").write_bytes(("é" * (MAX_TEXT * 2 + 7) + after).encode(encoding))
    page = files.read(ReadFile("f"))
    assert page.cut
    assert page.text == "é" * MAX_TEXT
    assert (page.lines, page.next_offset) == (1, more)
    if after == "\nnext":
        assert files.read(ReadFile("f", 1)).text == "next"


def test_a_line_of_exactly_a_page_is_whole(tmp_path: Path, files: Files) -> None:
    (tmp_path / "f").write_bytes(b"a" * (MAX_TEXT - 1) + b"\nrest")
    page = files.read(ReadFile("f"))
    assert (len(page.text), page.cut, page.next_offset) == (MAX_TEXT, False, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"plain \xff text", "byte 0xff at offset 6 (line 1) is no UTF-8"),
        (b"one\ntwo\ncaf\xe9\n", "byte 0xe9 at offset 11 (line 3) is no UTF-8"),
        (b"\xef\xbb\xbfx\n\xc3(", "byte 0xc3 at offset 5 (line 2) is no UTF-8"),
        (b"end \xe2\x82", "byte 0xe2 at offset 4 (line 1) is no UTF-8"),
        (b"\xed\xa0\x80", "byte 0xed at offset 0 (line 1) is no UTF-8"),
        (b"y" * (256 * 1024 - 1) + b"\n\xe2\x28", "byte 0xe2 at offset 262144 (line 2) is no UTF-8"),
        (b"\xff\xfea\0\n\0\0\xd8x\0", "byte 0x00 at offset 6 (line 2) is no UTF-16"),
        (b"\xff\xfea\0\n", "byte 0x0a at offset 4 (line 1) is no UTF-16"),
    ],
    ids=lambda value: value[-16:] if isinstance(value, bytes) else "",
)
def test_what_is_no_text_is_refused_with_the_first_wrong_byte(
    tmp_path: Path, files: Files, data: bytes, words: str
) -> None:
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(Refusal) as caught:
        files.read(ReadFile("f"))
    assert caught.value.code == ErrorCode.UNREADABLE
    assert words in caught.value.message


@pytest.mark.parametrize("gap", [0, 256 * 1024 - 8], ids=["near", "at-the-end-of-a-read"])
def test_a_wrong_byte_behind_the_page_is_the_next_pages_business(tmp_path: Path, files: Files, gap: int) -> None:
    (tmp_path / "f").write_bytes(b"good" + b"." * gap + b"one\n\xff\n")
    page = files.read(ReadFile("f", 0, 1))
    assert page.next_offset == 1
    with pytest.raises(Refusal, match="line 2"):
        files.read(ReadFile("f", 1, 1))


def test_a_wrong_byte_behind_a_page_that_is_full(tmp_path: Path, files: Files) -> None:
    (tmp_path / "f").write_bytes(b"a" * (MAX_TEXT - 1) + b"\n\xff\n")
    assert files.read(ReadFile("f")).next_offset == 1
    with pytest.raises(Refusal, match="line 2"):
        files.read(ReadFile("f", 1))


@pytest.mark.parametrize(
    "data", [b"\x7fELF\0\0", b"a" * 8000 + b"\0", b"\xff\xfe\0\0a\0\0\0"], ids=["elf", "late", "utf-32"]
)
def test_binary_is_said(tmp_path: Path, files: Files, data: bytes) -> None:
    (tmp_path / "f").write_bytes(data)
    page = files.read(ReadFile("f"))
    assert page.binary
    assert (page.text, page.encoding, page.lines, page.next_offset, page.size) == ("", "", 0, None, len(data))


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path, files: Files) -> None:
    with open(tmp_path / "sparse", "wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(Refusal) as caught:
        files.read(ReadFile("sparse"))
    assert caught.value.code == ErrorCode.TOO_LARGE
    assert "1099511627776" in caught.value.message


def test_a_file_that_grows_while_it_is_read(tmp_path: Path) -> None:
    """The writer is faster than the reader's limit; the reader comes back nevertheless."""
    path, stop = tmp_path / "log", threading.Event()
    path.write_bytes(b"x" * 1000)
    files = Files(Roots([tmp_path]), 4 * MIB)

    def grow() -> None:
        with open(path, "ab", buffering=0) as log:
            while not stop.is_set() and log.tell() < 64 * MIB:
                log.write(b"x" * 65536)

    writer = threading.Thread(target=grow)
    writer.start()
    codes = set()
    try:
        while not codes:
            try:
                assert len(files.read(ReadFile("log", 10**9)).text) <= MAX_TEXT
            except Refusal as refusal:
                codes.add(refusal.code)
    finally:
        stop.set()
        writer.join()
    assert codes == {ErrorCode.TOO_LARGE}


def test_growth_between_the_look_and_the_reading_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x\n")
    files = Files(Roots([tmp_path]), 100)
    real = os.pread

    def growing(descriptor: int, length: int, offset: int) -> bytes:
        with open(path, "ab") as log:
            log.write(b"y" * 50)
        return real(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", growing)
    with pytest.raises(Refusal) as caught:
        files.read(ReadFile("log"))
    assert caught.value.code == ErrorCode.TOO_LARGE


def test_memory_does_not_depend_on_the_file(tmp_path: Path) -> None:
    with open(tmp_path / "f", "wb") as big:
        for _ in range(64):
            big.write(b"z" * MIB)
        big.write(b"\nlast")
    files = Files(Roots([tmp_path]), 100 * MIB)
    tracemalloc.start()
    try:
        assert files.read(ReadFile("f")).cut
        assert files.read(ReadFile("f", 1)).text == "last"
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


def test_the_worst_page_fits_into_a_reply(tmp_path: Path, files: Files) -> None:
    (tmp_path / "f").write_text("\U0001f600" * (MAX_TEXT + 1), encoding="utf-8")
    assert len(encode(files.read(ReadFile("f")))) < MAX_REPLY


def test_a_directory_is_no_file_and_a_file_no_directory(tmp_path: Path, files: Files) -> None:
    (tmp_path / "f").write_text("", encoding="utf-8")
    for call in (lambda: files.read(ReadFile(".")), lambda: files.list(ListDir("f"))):
        with pytest.raises(Refusal) as caught:
            call()
        assert caught.value.code == ErrorCode.WRONG_TYPE


def test_listing(tmp_path: Path, files: Files) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "a.txt").write_text("12345", encoding="utf-8")
    (tmp_path / "link").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo")
    os.close(os.open(os.fsencode(tmp_path) + b"/\xff", os.O_CREAT | os.O_WRONLY))
    listing = files.list(ListDir("."))
    assert listing.path == str(tmp_path)
    assert [(entry.name, entry.kind) for entry in listing.entries] == [
        ("b", "directory"), ("a.txt", "file"), ("fifo", "other"), ("link", "symlink"), ("\udcff", "file")
    ]  # fmt: skip
    assert listing.entries[1].size == 5
    assert listing.entries[1].modified == (tmp_path / "a.txt").stat().st_mtime
    assert listing.truncated == 0


def test_a_listing_is_cut_and_says_so(tmp_path: Path, files: Files) -> None:
    for number in range(30):
        (tmp_path / f"f{number:02}").touch()
    (tmp_path / "z").mkdir()
    listing = files.list(ListDir(".", 5))
    assert [entry.name for entry in listing.entries] == ["z", "f00", "f01", "f02", "f03"]
    assert listing.truncated == 26


def test_the_worst_listing_fits_into_a_reply(tmp_path: Path, files: Files) -> None:
    base = os.fsencode(tmp_path)
    for number in range(10_000):
        name = b"\xff" * 240 + b"%05d" % number
        os.close(os.open(os.path.join(base, name), os.O_CREAT | os.O_WRONLY))
    listing = files.list(ListDir(".", 10_000))
    assert len(encode(listing)) < MAX_REPLY
    assert len(listing.entries) > 500
    assert listing.truncated == 10_000 - len(listing.entries)


def test_no_descriptor_is_left_open(tmp_path: Path, files: Files) -> None:
    (tmp_path / "f").write_bytes(b"\xff")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("f", "gone", ".", "../x"):
        with pytest.raises(Refusal):
            files.read(ReadFile(path))
    files.list(ListDir("."))
    assert len(os.listdir("/proc/self/fd")) == before


def test_too_many_open_files_is_a_refusal(tmp_path: Path, files: Files) -> None:
    (tmp_path / "f").write_text("x", encoding="utf-8")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(Refusal) as caught:
            files.read(ReadFile("f"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert caught.value.code == ErrorCode.BUSY
    assert files.read(ReadFile("f")).text == "x"


@pytest.mark.parametrize("seed", range(20))
def test_behind_finds_the_newline(seed: int) -> None:
    rng = random.Random(seed)
    data = bytes(rng.choices(b"ab\n", k=rng.randint(1, 300))) + b"\n"
    places = [index + 1 for index, byte in enumerate(data) if byte == 10]
    assert [behind(data, b"\n", count + 1) for count in range(len(places))] == places
