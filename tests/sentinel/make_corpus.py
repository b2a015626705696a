"""Makes the corpus by running the tools for real: python tests/sentinel/make_corpus.py [--only WORD].

Each case of cases/*.txt is a few files, a command, and what a reader of its output finds: language, type, file and
line. The line is marked in the file (" §1" at its end, taken out before the run), so nobody counts. A tool that is
not installed leaves its cases as they are in the corpus; what was run is said in corpus/tools.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
WORK = Path("/tmp/sidetone-corpus")
MAX_BYTES = 12_000
NODE = os.environ.get("CORPUS_NODE_MODULES", "")
"""A node_modules with typescript, jest, vitest, mocha, eslint and ts-node."""
DOTNET = os.environ.get("CORPUS_DOTNET", "")
"""The dotnet host of a runtime."""
JUNIT = "/usr/share/java/junit4.jar:/usr/share/java/hamcrest.jar"
TOOLS = {
    "python": "python --version",
    "pytest": "python -m pytest --version",
    "mypy": "python -m mypy --version",
    "node": "node --version",
    "tsc": "tsc --version",
    "jest": "jest --version",
    "vitest": "vitest --version",
    "mocha": "mocha --version",
    "eslint": "eslint --version",
    "gcc": "gcc --version",
    "clang": "clang --version",
    "rustc": "rustc --version",
    "go": "go version",
    "javac": "javac --version",
    "junit": f"ls {JUNIT.split(':')[0]}",
    "mono": "mono --version",
    "dotnet": "$DOTNET --list-runtimes",
    "ruby": "ruby --version",
    "rspec": "rspec --version",
    "php": "php --version",
    "phpunit": "phpunit --version",
    "bash": "bash --version",
    "make": "make --version",
    "cmake": "cmake --version",
    "valgrind": "valgrind --version",
    "npm": "npm --version",
    "pip": "pip --version",
    "docker": "docker --version",
    "git": "git --version",
}


def cases(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    current: list[str] | None = None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("=== "):
            name, *rest = line[4:].split(" | ")
            command, expect = split(" | ".join(rest), path.stem == "negative")
            found.append({"id": f"{path.stem}-{name}", "command": command, "expect": expect, "files": {}})
        elif line.startswith("--- ") and found:
            current = found[-1]["files"].setdefault(line[4:], [])
        elif current is not None:
            current.append(line)
    return found


def split(text: str, negative: bool) -> tuple[str, list[list[str]]]:
    """A command may have bars itself; what is expected stands behind the last ones."""
    if negative:
        return text.rstrip(" |"), []
    parts = text.split(" | ")
    return parts[0], [shlex.split(part) for part in parts[1:]]


def lay(case: dict[str, Any], folder: Path) -> dict[str, int]:
    """Writes the files; returns where the marks were."""
    marks = {}
    for name, lines in case["files"].items():
        clean = []
        for number, line in enumerate(lines, 1):
            mark = re.search(r"\s*§(\d)$", line)
            if mark:
                marks[f"{name}:{mark[1]}"] = number
                line = line[: mark.start()]
            clean.append(line)
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(clean) + "\n", encoding="utf-8")
    return marks


def run(case: dict[str, Any], folder: Path, environment: dict[str, str]) -> bytes:
    command = case["command"].replace("$DOTNET", environment["DOTNET_RUN"])
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        timeout=300,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return anonymous(done.stdout, environment)


def anonymous(data: bytes, environment: dict[str, str]) -> bytes:
    """Paths of the machine that it ran on become those of nobody's."""
    prefix = Path(sys.executable).parent.parent
    base = Path(sys.base_prefix)
    for old, new in (
        (str(prefix), "/home/dev/.venv"), (str(base), "/usr/local"), (NODE, "/home/dev/app/node_modules"),
        (DOTNET.removesuffix("/dotnet") or "\0", "/usr/share/dotnet"), (environment["HOME"], "/home/dev"),
        ("/root", "/home/dev"), (str(WORK), "/home/dev/work"),
    ):  # fmt: skip
        if old:
            data = data.replace(old.encode(), new.encode())
    data = re.sub(
        rb"https?://(?!127\.0\.0\.1|localhost|nodejs\.org|rust|doc\.rust|errors\.pydantic|jestjs|mocha|bit\.ly|"
        rb"vitest|eslint|www\.gnu|gcc\.gnu|docs\.)[\w.:/-]+",
        b"https://example.org/x",
        data,
    )
    if len(data) > MAX_BYTES:
        # Whole lines of both ends: what a page of output would show.
        head, tail = data[: MAX_BYTES // 2], data[-MAX_BYTES // 2 :]
        data = head[: head.rfind(b"\n") + 1] + tail[tail.find(b"\n") + 1 :]
    return data


def environment() -> dict[str, str]:
    home = WORK / "home"
    home.mkdir(parents=True, exist_ok=True)
    found = {
        "PATH": ":".join([str(Path(sys.executable).parent), NODE + "/.bin", os.environ["PATH"]]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NODE_PATH": NODE,
        "JUNIT": JUNIT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
        "DOTNET_RUN": f"{DOTNET} exec --runtimeconfig {WORK}/run.json",
        "GOPATH": str(home / "go"),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
        "CARGO_HOME": os.environ.get("CARGO_HOME", str(Path.home() / ".cargo")),
        "npm_config_update_notifier": "false",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "COLUMNS": "100",
        "TERM": "xterm-256color",
    }
    (WORK / "run.json").write_text(
        '{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "3.1.0"}}}', encoding="utf-8"
    )
    return found


def expected(case: dict[str, Any], marks: dict[str, int]) -> list[dict[str, Any]]:
    result = []
    for language, kind, where in case["expect"]:
        path, _, mark = where.rpartition(":")
        line = marks.get(where) if mark not in ("-", "") else None
        result.append({"language": language, "type": "" if kind == "-" else kind, "file": path, "line": line})
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", default="", help="cases with this in their name; the others stay as they are")
    only = arguments.parse_args().only
    around = environment()
    manifest = CORPUS / "manifest.jsonl"
    known = {}
    if manifest.exists():
        known = {row["id"]: row for row in map(json.loads, manifest.read_text(encoding="utf-8").splitlines())}
    (CORPUS / "text").mkdir(parents=True, exist_ok=True)
    rows = []
    for path in sorted((HERE / "cases").glob("*.txt")):
        for case in cases(path):
            if only not in case["id"]:
                rows += [known[case["id"]]] if case["id"] in known else []
                continue
            # All in one place, so that no path tells the cases apart.
            folder = WORK / "app"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            marks = lay(case, folder)
            data = run(case, folder, around)
            (CORPUS / "text" / f"{case['id']}.txt").write_bytes(data)
            rows.append({"id": case["id"], "expect": expected(case, marks)})
            sys.stderr.write(f"{case['id']}: {len(data)} bytes\n")
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    versions = {}
    for name, command in TOOLS.items():
        done = subprocess.run(
            ["bash", "-c", command.replace("$DOTNET", DOTNET or "false")],
            env=around,
            capture_output=True,
            text=True,
            check=False,
        )
        versions[name] = (
            (done.stdout.strip().splitlines() or ["not installed"])[0]
            .replace(str(Path.home()), "~")
            .split(" from ")[0]
            .split(" [/")[0]
        )
    (CORPUS / "tools.json").write_text(json.dumps(versions, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
