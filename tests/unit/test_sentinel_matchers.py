"""The project's own patterns, as .vscode/tasks.json has them."""

from __future__ import annotations

import time

import pytest

from bot.sentinel import matchers
from bot.sentinel.sentinel import Sentinel

TASKS = r"""
{
    // What the editor writes: comments, and commas too many.
    "version": "2.0.0", /* "problemMatcher": "$no" */
    "tasks": [
        {
            "label": "lint // not a comment",
            "problemMatcher": ["$tsc", {
                "owner": "speclint",
                "fileLocation": ["relative", "${workspaceFolder}/specs"],
                "pattern": {
                    "regexp": "^(.*)@(\\d+)(?:\\.(\\d+))? (WARN|BAD) (?<code>[A-Z]+\\d+) (.*)$",
                    "file": 1, "line": 2, "column": 3, "severity": 4, "code": 5, "message": 6,
                },
            }],
        },
        {
            "label": "check",
            "problemMatcher": {
                "owner": "checker",
                "fileLocation": "absolute",
                "pattern": [
                    {"regexp": "^FILE (\\S+)$", "file": 1},
                    {"regexp": "^  at (\\d+),(\\d+)-(\\d+): (.+)$", "line": 1, "column": 2, "message": 4, "loop": true},
                ],
            },
        },
        {"label": "plain", "problemMatcher": {"owner": "plain", "pattern": {"regexp": "^(.+)~(\\d+)~(\\d+)~(.+)$"}}},
        {"label": "place", "problemMatcher": {"owner": "place", "severity": "error", "pattern":
            {"regexp": "^>> (\\S+) \\((\\d+,\\d+)\\) (.*)$", "file": 1, "location": 2, "message": 3}}},
        {"label": "js", "problemMatcher": {"owner": "ahead", "pattern": {"regexp": "^(?=x)(.*)$", "message": 1}}},
        {"label": "based", "problemMatcher": {"base": "$tsc-watch", "owner": "based"}},
        {"label": "none", "problemMatcher": []},
    ],
}
"""


def found(text: str) -> list[tuple[str, str, str, str | None, int | None, int | None]]:
    mine, _ = matchers.read(TASKS, "/srv/app")
    sentinel = Sentinel(lambda: 0.0, ("/srv/app",), mine)
    all_found = (*sentinel.feed("x", text.encode()), *sentinel.flush("x"))
    return [
        (f.language, f.type, f.message, f.top and f.top.path, f.top and f.top.line, f.top and f.top.column)
        for f in all_found
    ]


def test_what_is_used_and_what_is_refused() -> None:
    mine, refused = matchers.read(TASKS, "/srv/app")
    assert [matcher.owner for matcher in mine] == ["speclint", "checker", "plain", "place"]
    assert len(refused) == 2
    assert "ahead" in refused[0]
    assert "based" in refused[1]


def test_one_line() -> None:
    assert found("nothing\n" * 50 + "pay.spec@12.3 BAD SP04 no such step\n") == [
        ("speclint", "SP04", "no such step", "/srv/app/specs/pay.spec", 12, 3)
    ]
    assert found("pay.spec@12 WARN SP04 no such step\n") == []
    assert found("a/b.x~3~4~is wrong\n") == [("plain", "", "is wrong", "a/b.x", 3, 4)]
    assert found(">> a.y (7,9) bad\n") == [("place", "", "bad", "a.y", 7, 9)]


def test_several_lines_with_a_loop() -> None:
    text = "FILE /srv/app/a.z\n  at 3,4-5: first\n  at 9,1-2: second\nfine\n  at 1,1-1: nobody's\n"
    assert found(text) == [
        ("checker", "", "first", "/srv/app/a.z", 3, 4),
        ("checker", "", "second", "/srv/app/a.z", 9, 1),
    ]


def test_other_errors_are_still_found() -> None:
    assert [row[0] for row in found("main.c:3:5: error: x\nq.spec@1 BAD A1 y\n")] == ["c", "speclint"]


def test_github_workflow_matchers_and_broken_files() -> None:
    text = '{"problemMatcher": [{"owner": "ci", "pattern": [{"regexp": "^!! (.*)$", "message": 1}]}]}'
    mine, refused = matchers.read(text, "/x")
    assert [matcher.owner for matcher in mine] == ["ci"]
    assert not refused
    mine, refused = matchers.read('{"tasks": [', "/x")
    assert not mine
    assert "not readable as JSON" in refused[0]
    for odd in ("[]", '"x"', "{}", '{"tasks": null}', '{"tasks": [1, {"problemMatcher": {"pattern": 3}}]}'):
        assert not matchers.read(odd, "/x")[0]


@pytest.mark.parametrize("pattern", ["^(a+)+$", "(a|aa)*b", "^(.*a){20}$"])
def test_a_pattern_that_takes_for_ever_elsewhere(pattern: str) -> None:
    text = f'{{"problemMatcher": {{"owner": "slow", "pattern": {{"regexp": "{pattern}", "message": 0}}}}}}'
    mine, _ = matchers.read(text, "/x")
    sentinel = Sentinel(lambda: 0.0, (), mine)
    started = time.process_time()
    sentinel.feed("x", (b"a" * 5000 + b"!\n") * 20)
    assert time.process_time() - started < 2.0
