"""What is written for the eye becomes what is said, and plain prose stays as it is."""

from __future__ import annotations

import pytest

from bot.voice.speakable import speakable

MARKDOWN = [
    ("**Use a list** here.", "Use a list here."),
    ("*italic*, _under_ and ~~struck~~", "italic, under and struck"),
    ("**half of a bold", "half of a bold"),
    ("# Heading\nText goes on.", "Heading. Text goes on."),
    ("- one\n- two `get_user_id`", "one. two get user id."),
    ("* [x] done", "done."),
    ("1. First\n2. Second!", "1: First. 2: Second!"),
    ("> quoted", "quoted"),
    ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b. 1, 2."),
    ("---\nText", "Text"),
    ("See [the docs](https://x.y/z).", "See the docs."),
    ("![a picture](cat.png)", "a picture"),
    ("one<br>two", "one two"),
    ("```", ""),
    ("", ""),
    ("**", ""),
]
CODE = [
    ("Call `get_user_id` now.", "Call get user id now."),
    ("Call getUserId now.", "Call get User Id now."),
    ("A TypeError in __init__ of MyClass.", "A Type Error in init of My Class."),
    ("Open file.py", "Open file dot py"),
    ("Read (README.md)", "Read (README dot M D)"),
    ("Look at src/main.py:42.", "Look at src slash main dot py line 42."),
    ("`/etc/hosts`", "slash etc slash hosts"),
    ("Run ./run.sh or ~/.bashrc", "Run dot slash run dot S H or home slash dot bashrc"),
    ("Pass --dry-run or `-v` to it.", "Pass dry run or dash v to it."),
    ("`x = y + 1`", "x equals y plus 1"),
    ("`if a != b:`", "if a not equal to b:"),
    ("`List[int]`", "List int"),
    ("foo.bar() works, f(x, y) too", "foo dot bar works, f x, y too"),
    ("`**kwargs`", "star star keyword args"),
    ('`git commit -m "fix"`', "git commit dash m fix"),
    ("`I like", "I like"),
    ("C:\\temp", "C backslash temp"),
]
WORDS = [
    ("e.g. this -> that", "for example, this to that"),
    ("when a == b && c", "when a double equals b and c"),
    ("C++, C# and .NET", "C plus plus, C sharp and dot net"),
    ("JSON over the API; stderr and SQL", "JSON over the API; standard error and SQL"),
    ("the CLI/IDE", "the C L I I D E"),
    ("lists, sets etc. and more", "lists, sets et cetera and more"),
    ("numpy and pytest", "num pie and pie test"),
    ("file(s)", "files"),
]
NUMBERS = [
    ("10ms, 2.5 MB, 1 s, 3.2 GHz", "10 milliseconds, 2.5 megabytes, 1 second, 3.2 gigahertz"),
    ("50% of $5", "50% of 5 dollars"),
    ("Python 3.11 and v1.2.3", "Python 3 point 11 and version 1 point 2 point 3"),
    ("http://localhost:8000/health", "local host port 8000"),
    ("127.0.0.1:8080", "127 dot 0 dot 0 dot 1 port 8080"),
    ("PR #42 is 3x faster, ~5 s, 1-3 items", "PR number 42 is 3 times faster, about 5 seconds, 1 to 3 items"),
    ("0x1F", "hex 1 F"),
    ("2 * 3", "2 times 3"),
]
ELSE = [
    ("See https://docs.python.org/3/library/os.html for more.", "See docs dot python dot org for more."),
    ("(https://www.a-b.org/d_e).", "(a b dot org)."),
    ("me@example.com", "me at example dot com"),
    ("Great 🎉 job 👍🏽!", "Great job!"),
    ("🙂", ""),
    ("✅ Done", "Done"),
]
PROSE = [
    "Sure, let me check that.",
    'Plain prose, with a well-known dash - and a (short) aside; nothing else: "quoted" text isn\'t changed…',
    "I work in the U.S. at 5 p.m. today, at 12:30, on 2024-01-15.",
    "JavaScript on GitHub and macOS returns 404 for 3.5 of 1,000 calls — always!",
    "Is it half, 1/2, or not?",
]


@pytest.mark.parametrize(("written", "said"), [*MARKDOWN, *CODE, *WORDS, *NUMBERS, *ELSE])
def test_said(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize("text", PROSE)
def test_plain_prose_is_not_touched(text: str) -> None:
    assert speakable(text) == text


@pytest.mark.parametrize("written", [w for w, _ in [*MARKDOWN, *CODE, *WORDS, *NUMBERS, *ELSE]])
def test_saying_it_twice_changes_nothing(written: str) -> None:
    once = speakable(written)
    assert speakable(once) == once


def test_long_and_odd_text_is_quick() -> None:
    """No pattern backtracks for seconds: this would run into the test's time limit."""
    for seed in ("*_`[(<", "a.b/c-d:", "((((", "_a", "1.2", "http://", "| ", "--"):
        speakable(seed * 2000)
