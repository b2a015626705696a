"""What the text after a command means, and what is shown of what comes back."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import subprocess

import pytest

from bot.agent_types import Change, Changes, Command, FilePage, Hit, Hits, Job
from bot.chat import showing
from bot.chat.command_line import LONGEST, CommandTextError, parse
from bot.chat.rendering import LIMIT, MAX_PARTS, units
from bot.chat.terminal import HALF, LONGEST_LINE, Terminal
from bot.errors import AgentError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("git status", ("git", "status")),
        ("  echo 'a | b'  \"c; d\" ", ("echo", "a | b", "c; d")),
        ("git log --format=%h -n5", ("git", "log", "--format=%h", "-n5")),
        ("pytest -k 'not slow' tests/unit", ("pytest", "-k", "not slow", "tests/unit")),
        ("`ls -la`", ("ls", "-la")),
        ("```bash\nls -la\n```", ("ls", "-la")),
        ("echo ''", ("echo", "")),
    ],
)
def test_plain_words_need_no_shell(text: str, words: tuple[str, ...]) -> None:
    assert parse(text) == Command(words)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a | b",
            "a > b",
            "a && b",
            "a; b",
            "a &",
            "ls *.py",
            "ls [ab]",
            "ls ?",
            "echo $HOME",
            'echo "$HOME"',
            "echo ~",
        ),
        *("echo {a,b}", "echo `id`", 'echo "`id`"', "X=1 make", "cd src", "! true", "a\nb", "a # b", "a \\| b", "(a)"),
        *("for x in 1 2", ". ./env", "[ -f x ]", "echo \\", "make CFLAGS=-O2"),
    ],
)
def test_what_only_a_shell_understands_goes_to_one_as_it_is(text: str) -> None:
    assert parse(f" {text} ") == Command((text,), for_shell=True)


def test_what_is_no_command_is_said() -> None:
    for text, expected in (
        ("  ", "no command"),
        ("echo 'a", "never closed"),
        ("x" * (LONGEST + 1), "script"),
        ("a\0", "NUL"),
    ):
        with pytest.raises(CommandTextError, match=expected):
            parse(text)


@pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="compares with bash")
def test_words_are_those_that_bash_would_make() -> None:
    """Never does a line that means more to bash run as words, and never do the words differ."""
    choose = random.Random(1)
    pieces = [*"ab -'\"\\$*;|&<>(){}[]~#!=`?:,%^+./\t", "'x y'", '"x y"', "--a=b", " \u00a0", "é"]
    lines: list[tuple[str, Command]] = []
    for _ in range(6000):
        text = "z" + "".join(choose.choice(pieces) for _ in range(choose.randint(1, 7)))
        try:
            command = parse(text)
        except CommandTextError:
            continue
        if not command.for_shell:
            lines.append((text, command))
    assert len(lines) > 300
    script = "\n".join(f"printf '%s\\0' {text}; printf '\\n\\0'" for text, _ in lines)
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=60, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-500:]
    found = [tuple(each.split("\0")[:-1]) for each in done.stdout.split("\n\0")[:-1]]
    different = [(text, words) for (text, command), words in zip(lines, found, strict=True) if words != command.words]
    assert different == []


def test_lines_that_are_asked_for() -> None:
    assert showing.asked_lines("a.py") == ("a.py", 1, None)
    assert showing.asked_lines(" a.py:7 ") == ("a.py", 7, 1)
    assert showing.asked_lines("a.py:7-9") == ("a.py", 7, 3)
    assert showing.asked_lines("a.py:7-") == ("a.py", 7, None)
    assert showing.asked_lines("a.py:9-7") == ("a.py", 9, 1)
    assert showing.asked_lines("a.py:0") == ("a.py", 1, 1)
    assert showing.asked_lines("C:x") == ("C:x", 1, None)


def page(text: str, path: str = "/p/a.py") -> FilePage:
    return FilePage(path, 10, False, text, 1, text.count("\n"), False, False)


@pytest.mark.parametrize("ticks", range(1, 12))
def test_code_cannot_leave_its_block(ticks: int) -> None:
    shown = showing.page(page("`" * ticks + "\n@everyone\n")).parts
    assert len(shown) == 1
    assert shown[0].count("```") == 2
    assert shown[0].endswith("\n```")


def test_what_cannot_be_seen_is_spelled_out() -> None:
    assert showing.visible("rm\u202e -rf\u200b\t\u3164\xa0x\n") == "rm\\u{202e} -rf\\u{200b}\\u{9}\\u{3164}\\u{a0}x\n"
    assert showing.visible("größe 日本 é \N{CRAB}") == "größe 日本 é \N{CRAB}"
    name = showing.inline("a`b`\n[x](y)" + "z" * 1000)
    assert name.count("`") == 2
    assert len(name) <= showing.LONGEST_NAME + 2


def test_a_file_of_any_size_fits() -> None:
    for lines in (1, 60, 400, 5000, 90_000):
        text = "".join(f"\tsome = 'words {n}'\n" for n in range(lines))
        shown = showing.page(page(text))
        assert all(part.strip() and units(part) <= LIMIT for part in shown.parts)
        assert len(shown.parts) <= MAX_PARTS
        assert shown.file == ("" if lines < 1000 else text)
        assert all(part.count("```") in (0, 2) for part in shown.parts)
    one = showing.page(page("\N{CRAB}" * 50_000 + "\n"))
    assert all(units(part) <= LIMIT for part in one.parts)
    assert one.file


def test_line_numbers_are_those_of_the_file() -> None:
    shown = showing.page(FilePage("/p/a", 1, False, "x\x0cy\r\nz\n", 99, 2, True, True)).parts[0]
    assert "\n 99 x\x0cy\n100 z\n" in shown
    assert "`a:101-` is next" in shown
    assert "too long and is cut" in shown


def test_hits_and_changes() -> None:
    found = Hits((Hit("/a", 1, "  x"), Hit("/a", 20, "y"), Hit("/b", 3, "z")), 2, 1, "time")
    text = showing.hits(found, "p`").parts[0]
    assert "3 hits for `p\u02cb`; 2 files searched, 1 left out" in text
    assert "/a\n     1 x\n    20 y\n/b\n     3 z" in text
    changes = (Change(0, "/b", "moved", "/a", (), ""), Change(0, "/l", "lines", "", ("one", "two"), "rotated"))
    text = showing.changes(Changes("c", changes, 4)).parts[0]
    assert "2 changes, oldest first. 4 older ones are not kept any more." in text
    assert "moved    /b (from /a)\nlines    /l [rotated]\n    one\n    two" in text
    assert "restarted" in showing.changes(Changes("c", (), -1)).parts[0]


def test_a_list_of_jobs_fits() -> None:
    job = Job("0123456789abcdef", "word " * 100, "/", "done", 0.0, 61.2, 137, "SIGKILL", "memory")
    text = showing.jobs([job] * 100)
    assert units(text) <= LIMIT
    assert "more memory than it may; exit code 137, after 1 min 1 s" in text
    assert text.endswith(" more.")


def test_the_agents_sentences_are_text_and_say_when_to_try_again() -> None:
    error = AgentError("@everyone `x` [a](https://b) *c*", "denied", retry_after_s=3.4)
    shown = showing.failure(error)
    assert shown.endswith(" Try again in 3 s.")
    assert "@everyone" not in shown
    assert "https://" not in shown
    assert "](" not in shown.replace("\\](", "")


# --- the terminal -------------------------------------------------------------------------------------------------


def seen(*data: bytes) -> str:
    terminal = Terminal()
    for each in data:
        terminal.feed(each)
    terminal.feed(b"", final=True)
    return terminal.text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\n", "plain\n"),
        (b"dos\r\nlines\r\n", "dos\nlines\n"),
        (b"\x1b[1;31mred\x1b[0m\n", "red\n"),
        (b" 10%\r 50%\r100%\ndone", "100%\ndone"),
        (b"long line\rshort", "shortline"),
        (b"long line\r\x1b[Kshort", "short"),
        (b"abc\x1b[2Kd", "   d"),
        (b"\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "textlink"),
        (b"ab\x08c", "ac"),
        (b"bell\x07 nul\x00 esc\x1b", "bell nul esc"),
        ("größe\n".encode(), "größe\n"),
        (b"wrong \xff byte", "wrong \ufffd byte"),
        (b"\x1b(B\x1b=x\x1b>", "x"),
        (b"tab\there", "tab\there"),
    ],
)
def test_output_is_what_a_terminal_shows(data: bytes, text: str) -> None:
    assert seen(data) == text
    assert seen(*(data[at : at + 1] for at in range(len(data)))) == text, "cut anywhere it is the same"


def test_the_middle_of_endless_output_falls_out() -> None:
    terminal = Terminal()
    line = b"x" * 99 + b"\n"
    for _ in range(100):
        terminal.feed(line * 1000)
    assert len(terminal.text) < 2 * HALF + LONGEST_LINE + 100
    assert terminal.lost > 0
    assert "characters are left out here" in terminal.text
    assert terminal.end(150).count("x") >= 150


def test_hostile_output_takes_no_time() -> None:
    terminal = Terminal()
    for hostile in (b"\x1b]", b"\x1b[1", b"\x1b[", b"\x1bP;", b"\ra", b"\x1b[K", b"\x08"):
        terminal.feed(b"y" * 5000 + hostile * (60_000 // len(hostile)))


def test_a_line_without_end_is_broken() -> None:
    terminal = Terminal()
    terminal.feed(b"x" * 100_000)
    assert terminal.text == "x" * 100_000


def test_shell_quoting_of_words_is_shown() -> None:
    assert Command(("a b", "c")).text == shlex.join(["a b", "c"])
    assert Command(("a | b",), for_shell=True).text == "a | b"
