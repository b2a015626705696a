"""The house rules that a program can check, read off the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(p for room in ("bot", "agent_wsl") for p in (ROOT / room).rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
ROOMS = {"audio", "voice", "llm", "models", "chat", "tools", "sentinel"}
COMPOSERS = {"app.py", "call.py", "talk.py", "engines.py", "doctor.py", "__main__.py"}
"""The composition root: the only files at the top that may know a room."""
SHARED = {"ports", "events", "errors", "config", "worker", "log"}
EXIT_CODE_AND_ARGUMENTS = {"__main__.py", "console.py"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))


def calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    return found


@pytest.mark.parametrize("path", [*PRODUCT, *SCRIPTS], ids=name)
def test_sizes(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    tree = ast.parse(text)
    for function in functions(tree):
        length = (function.end_lineno or 0) - function.lineno + 1
        assert length < 60, f"{function.name} has {length} lines"
        arguments = function.args
        count = len([a for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs] if a.arg != "self"])
        assert count < 8, f"{function.name} has {count} parameters"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
            public = [m for m in methods if not m.name.startswith("__")]
            assert len(public) < 15, f"{node.name} has {len(public)} methods"


@pytest.mark.parametrize("path", [*PRODUCT, *SCRIPTS], ids=name)
def test_every_file_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parse(path)), "no module docstring"


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_dataclass_fields_that_need_it_are_explained_where_they_stand(path: Path) -> None:
    """A literal after a field is a string, never a stray expression."""
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.ClassDef):
            for child in node.body:
                if isinstance(child, ast.Expr):
                    assert isinstance(child.value, ast.Constant)
                    assert isinstance(child.value.value, str | type(...))


@pytest.mark.parametrize("path", PRODUCT, ids=name)
def test_threads_environment_tasks_and_prints_stay_where_they_belong(path: Path) -> None:
    tree = parse(path)
    for call, line in calls(tree):
        where = f"{name(path)}:{line}"
        if path.name != "worker.py":
            assert call not in ("threading.Thread", "Thread", "ThreadPoolExecutor", "ProcessPoolExecutor"), where
            assert call != "asyncio.to_thread", where
        assert call not in ("asyncio.create_task", "asyncio.ensure_future"), where
        assert call not in ("time.time", "time.monotonic"), f"{where}: use loop.time()"
        if path.name not in EXIT_CODE_AND_ARGUMENTS:
            assert call != "print", where
    if path.name != "config.py":
        assert "os.environ" not in ast.unparse(tree).replace("os.environ.copy", ""), name(path)
        assert "getenv" not in ast.unparse(tree), name(path)


@pytest.mark.parametrize("path", [*PRODUCT, *SCRIPTS], ids=name)
def test_no_bare_except(path: Path) -> None:
    assert not [n for n in ast.walk(parse(path)) if isinstance(n, ast.ExceptHandler) and n.type is None]


@pytest.mark.parametrize("path", [p for p in PRODUCT if p.relative_to(ROOT).parts[0] == "bot"], ids=name)
def test_arrows(path: Path) -> None:
    """Rooms never import each other; what is shared imports no room; the session knows only ports and events."""
    parts = path.relative_to(ROOT / "bot").parts
    modules = {m for m in imported(parse(path)) if m.startswith(("bot.", "agent_wsl"))}
    rooms = {m.split(".")[1] for m in modules if m.startswith("bot.")} & ROOMS
    if len(parts) > 1:
        assert rooms <= {parts[0]}, f"{name(path)} imports another room: {rooms}"
    elif path.name not in COMPOSERS:
        assert not rooms, f"{name(path)} imports a room: {rooms}"
    if parts[0] != "tools":
        assert not [m for m in modules if m.startswith("agent_wsl")]


def test_importing_the_packages_does_nothing() -> None:
    for package in ("bot", "agent_wsl"):
        init = ROOT / package / "__init__.py"
        if init.exists():
            assert len(parse(init).body) == 1, f"{package}/__init__.py does more than say what it is"


def test_no_shared_module_is_missing_from_the_list() -> None:
    assert {p.stem for p in (ROOT / "bot").glob("*.py")} >= SHARED
