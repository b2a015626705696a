"""Ways out of the sandbox, one row each. Where the same attempt can be made without the sandbox, it succeeds there."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_wsl.sandbox.confine import Sandbox
from agent_wsl.sandbox.start import running
from tests.agent.confined import PYTHON, job_settings, python, repository, run, settings, shell, unconfined

CANARY = "the secret of somebody else"
PROJECT = Path(__file__).parents[2]
IMPORTS = os.pathsep.join([str(PROJECT), *filter(None, sys.path)])
CLEAN = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


@dataclass
class Place:
    box: Sandbox
    root: Path
    """A repository, and the first root."""
    other: Path
    """The second root."""
    outside: Path
    """Beside them, with the file `secret`."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Path]]:
    """One sandbox for all rows, and a repository to begin each with."""
    folder = tmp_path_factory.mktemp("attacks").resolve()
    root, other, outside = folder / "root", folder / "other", folder / "outside"
    root.mkdir()
    other.mkdir()
    box = Sandbox((root, other), settings(), job_settings())
    assert box.state.works, box.state.detail
    yield Place(box, root, other, outside), repository(tmp_path_factory.mktemp("template") / "repository")
    box.close()


@pytest.fixture
def place(made: tuple[Place, Path]) -> Place:
    place, template = made
    for folder in (place.root, place.other, place.outside):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    shutil.copytree(template, place.root, dirs_exist_ok=True)
    (place.outside / "secret").write_text(CANARY, encoding="ascii")
    (place.root / ".env").write_text(f"API_KEY={CANARY}", encoding="ascii")
    return place


# --- reading ----------------------------------------------------------------------------------------------------

READ = {
    "absolute": "cat {outside}/secret",
    "dots": "cat ../outside/secret",
    "link-made-inside": "ln -s {outside}/secret l && cat l",
    "link-planted-outside": "cat planted",
    "directory-link-then-dots": "cd planted-directory && cat secret",
    "hard-link": "ln {outside}/secret h && cat h",
    "proc-self-root": "cat /proc/self/root{outside}/secret",
    "proc-1-root": "cat /proc/1/root{outside}/secret",
    "proc-1-cwd": "cat /proc/1/cwd/../outside/secret",
    "parent-process": "cat /proc/$PPID/root{outside}/secret",
    "every-process": "cat /proc/*/root{outside}/secret /proc/*/cwd/../outside/secret",
    "every-descriptor": "for d in /proc/*/fd/*; do cat $d/../outside/secret $d/outside/secret; done",
    "mounts-of-the-old-root": "cat /oldroot{outside}/secret /newroot{outside}/secret",
    "tar": "tar cf - -C / {outside} | tar xf - -O",
    "find": "find / -name secret -exec cat {{}} +",
}


@pytest.mark.parametrize("line", READ.values(), ids=READ)
def test_nothing_outside_is_read(place: Place, line: str) -> None:
    (place.root / "planted").symlink_to(place.outside / "secret")
    (place.root / "planted-directory").symlink_to(place.outside)
    assert CANARY not in shell(place.box, line.format(outside=place.outside) + " 2>&1", place.root).output


@pytest.mark.parametrize("name", ["absolute", "dots", "link-planted-outside", "proc-self-root", "tar"])
def test_control_of_reading(place: Place, name: str) -> None:
    (place.root / "planted").symlink_to(place.outside / "secret")
    line = READ[name].format(outside=place.outside)
    assert CANARY in unconfined(["/bin/bash", "-c", line], place.root).output


HIDDEN = {
    "shadow": "/etc/shadow", "sudoers": "/etc/sudoers", "home": "/home", "root": "/root", "var": "/var/log",
    "sys": "/sys/kernel", "boot": "/boot", "disk": "/dev/vda", "memory": "/dev/mem", "kvm": "/dev/kvm",
    "fuse": "/dev/fuse", "docker": "/var/run/docker.sock", "docker-run": "/run/docker.sock", "init": "/init",
    "interop": "/run/WSL",
    "drives": "/mnt", "old-root": "/oldroot", "kernel-messages": "/proc/kmsg", "kernel-memory": "/proc/kcore",
    "debugfs": "/sys/kernel/debug", "dbus": "/run/dbus", "systemd": "/run/systemd", "machine-id": "/etc/machine-id",
}  # fmt: skip


@pytest.mark.parametrize("path", HIDDEN.values(), ids=HIDDEN)
def test_places_that_are_not_there(place: Place, path: str) -> None:
    told = shell(place.box, f"ls -A {path} && head -c 10 {path}", place.root)
    assert told.code != 0, told.output


def test_another_root_is_not_there(place: Place) -> None:
    """A command sees the allowed directory that it works in, and no other."""
    (place.other / "theirs.txt").write_text(CANARY, encoding="ascii")
    told = shell(place.box, f"cat {place.other}/theirs.txt; echo x > {place.other}/theirs.txt", place.root)
    assert told.code != 0
    assert CANARY not in told.output
    assert (place.other / "theirs.txt").read_text(encoding="ascii") == CANARY
    assert CANARY in shell(place.box, "cat theirs.txt", place.other).output


# --- secrets ----------------------------------------------------------------------------------------------------

UNMASK = {
    "read": "cat .env",
    "rename": "mv .env x; cat x",
    "delete-and-look-below": "rm -f .env; cat .env",
    "hard-link": "ln .env x; cat x",
    "rename-the-root": "mv $PWD $PWD-away; cat $PWD-away/.env",
    "overwrite-by-rename": "echo x > y; mv y .env; git add -A; git show :.env; cat .env",
    "of-another-mount": "cat /proc/1/cwd/.env /proc/1/root$PWD/.env",
    "deeper": "cat a/b/.env.local; mv a z; cat z/b/.env.local",
    "unmount": "umount .env; umount -l .env; cat .env",
    "through-git": "git hash-object -w .env | xargs git cat-file -p",
    "link-to-it": "cat link-to-env",
}


@pytest.mark.parametrize("line", UNMASK.values(), ids=UNMASK)
def test_env_files_are_empty(place: Place, line: str) -> None:
    (place.root / "a" / "b").mkdir(parents=True)
    (place.root / "a" / "b" / ".env.local").write_text(CANARY, encoding="ascii")
    (place.root / "link-to-env").symlink_to(".env")
    assert CANARY not in shell(place.box, f"({line}) 2>&1", place.root).output
    assert (place.root / ".env").read_text(encoding="ascii") == f"API_KEY={CANARY}"


def test_control_of_env_files_and_the_example_can_be_read(place: Place) -> None:
    (place.root / ".env.example").write_text("API_KEY=", encoding="ascii")
    assert shell(place.box, "cat .env.example", place.root).output == "API_KEY="
    assert CANARY in unconfined(["cat", ".env"], place.root).output


def test_what_is_to_be_hidden_is_hidden(tmp_path: Path) -> None:
    """The agent's own state: audit log and output of other users' jobs."""
    state = tmp_path / "logs" / "agent"
    state.mkdir(parents=True)
    (state / "audit.jsonl").write_text(CANARY, encoding="ascii")
    box = Sandbox((tmp_path,), settings(), job_settings(), hidden=(state,))
    line = "cat logs/agent/*; mv logs l; cat l/agent/*; rm -rf logs; echo x > logs/agent/audit.jsonl"
    assert CANARY not in shell(box, f"({line}) 2>&1", tmp_path).output
    assert (state / "audit.jsonl").read_text(encoding="ascii") == CANARY
    box.close()


def test_the_environment_of_the_agent_is_not_seen(place: Place) -> None:
    text = (
        "import sys; from pathlib import Path; from tests.agent.confined import *; root = Path(sys.argv[1]);"
        "box = Sandbox((root,), settings(), job_settings()); print(shell(box, 'env; cat /proc/*/environ', root).output)"
    )
    secrets = {"API_KEY": CANARY, "DISCORD_TOKEN": CANARY, "WSL_INTEROP": CANARY, "LD_PRELOAD_X": CANARY}
    env = {**CLEAN, "PYTHONPATH": IMPORTS, **secrets}
    told = unconfined([sys.executable, "-c", text, str(place.root)], place.root, env)
    assert "HOME=/sandbox" in told.output and CANARY not in told.output
    assert CANARY in unconfined(["env"], place.root, env).output


# --- writing ----------------------------------------------------------------------------------------------------

WRITE = {
    "absolute": "echo x > {outside}/secret",
    "dots": "echo x > ../outside/secret",
    "link": "ln -s {outside}/secret l && echo x > l",
    "new-file": "echo x > {outside}/new",
    "rename-over": "echo x > y && mv y {outside}/secret",
    "beside-the-root": "echo x > ../beside",
    "usr": "echo x > /usr/bin/made-by-a-job",
    "etc": "echo x >> /etc/passwd",
    "top": "mkdir /made",
    "bubblewrap-itself": "cp /proc/self/exe x; cat x > /proc/1/exe",
    "its-own-program": "cat /bin/ls > /proc/self/exe",
    "core-pattern": "echo '|/bin/sh' > /proc/sys/kernel/core_pattern",
    "modprobe-path": "echo /x > /proc/sys/kernel/modprobe",
    "sysctl-of-the-machine": "cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness",
    "sysrq": "echo h > /proc/sysrq-trigger",
    "binfmt": "echo ':x:M::xx::/bin/sh:' > /proc/sys/fs/binfmt_misc/register",
    "oom-score-of-init": "echo -1000 > /proc/1/oom_score_adj",
    "uid-map": "echo '0 0 1' > /proc/self/uid_map",
    "own-memory": f'{PYTHON} -c \'open("/proc/self/mem", "r+b")\'',
    "memory-of-init": f'{PYTHON} -c \'open("/proc/1/mem", "r+b")\'',
    "tty": "echo x > /dev/tty",
    "device-made": "mknod d b 8 0",
}


@pytest.mark.parametrize("line", WRITE.values(), ids=WRITE)
def test_nothing_outside_is_written(place: Place, line: str) -> None:
    before = sorted(place.outside.parent.iterdir())
    told = shell(place.box, line.format(outside=place.outside), place.root)
    # What lies between a root and /tmp is memory in there, and may be written.
    assert told.code != 0 or line == WRITE["beside-the-root"], told.output
    assert (place.outside / "secret").read_text(encoding="ascii") == CANARY
    assert [p.name for p in place.outside.iterdir()] == ["secret"]
    assert sorted(place.outside.parent.iterdir()) == before


@pytest.mark.parametrize("name", ["absolute", "dots", "link", "new-file", "rename-over", "beside-the-root"])
def test_control_of_writing(place: Place, name: str) -> None:
    assert unconfined(["/bin/bash", "-c", WRITE[name].format(outside=place.outside)], place.root).code == 0


def test_a_set_user_id_program_gains_nothing(place: Place) -> None:
    line = (
        "cp /usr/bin/id . && chmod u+s id && ./id -u; grep NoNewPrivs /proc/self/status; find /usr -perm -4000 -name su"
    )
    assert "NoNewPrivs:\t1" in shell(place.box, line, place.root).output


# --- what others would run --------------------------------------------------------------------------------------

HOOK = "echo '#!/bin/sh' > {0} && chmod +x {0}"
EXCHANGE = (
    'import ctypes, os; os.mkdir("g"); raise SystemExit(ctypes.CDLL(None).renameat2(-100, b"g", -100, b".git", 2))'
)
GUARDED = {
    "new-hook": HOOK.format(".git/hooks/pre-commit"),
    "existing-hook": "echo evil >> .git/hooks/pre-push",
    "hook-deleted": "rm .git/hooks/pre-push",
    "hook-replaced": "echo evil > x && mv x .git/hooks/pre-push",
    "hooks-renamed": "mv .git/hooks .git/old && mkdir .git/hooks",
    "hooks-deleted": "rm -rf .git/hooks && mkdir .git/hooks && echo x > .git/hooks/pre-commit",
    "git-renamed": "mv .git .got && mkdir -p .git/hooks && echo x > .git/hooks/pre-commit",
    "git-deleted": "rm -rf .git; git init -q . && echo x > .git/hooks/pre-commit",
    "config": "git config core.fsmonitor ./evil",
    "config-replaced": "echo evil > x && mv x .git/config",
    "config-hard-link": "ln .git/config x && echo evil >> x",
    "config-through-proc": "echo evil >> /proc/self/cwd/.git/config",
    "hooks-through-link": "ln -s .git/hooks h && echo x > h/pre-commit",
    "hooks-by-dots": "mkdir -p d && echo x > d/../.git/./hooks/pre-commit",
    "root-renamed": "cd .. && mv root r && mkdir -p root/.git/hooks && echo x > root/.git/hooks/pre-commit",
    "exchanged": f"{PYTHON} -c '{EXCHANGE}'",
    "other-case": "echo x > .GIT/hooks/pre-commit",
    "submodule-hook": HOOK.format(".git/modules/sub/hooks/post-checkout"),
    "submodule-config": "echo evil >> .git/modules/sub/config",
    "submodule-renamed": "mv .git/modules .git/m && mkdir -p .git/modules/sub/hooks",
    "submodule-git-file": "echo 'gitdir: ../evil' > sub/.git",
    "worktree-commondir": "echo ../../../evil > .git/worktrees/w/commondir",
    "nested-hook": HOOK.format("deep/nested/.git/hooks/pre-commit"),
    "nested-renamed": "mv deep/nested deep/n && mkdir -p deep/nested/.git/hooks",
    "nested-parent-renamed": "mv deep d && mkdir -p deep/nested/.git/hooks",
    "husky": "echo evil >> .husky/pre-commit",
    "included-config": "echo evil >> settings/git.inc",
    "hooks-path": "echo evil >> tools/hooks/pre-commit",
    "vscode": "echo '{}' > .vscode/tasks.json",
    "vscode-renamed": "mv .vscode v && mkdir .vscode && echo x > .vscode/tasks.json",
    "envrc": "echo evil > .envrc",
    "bashrc": "echo evil >> .bashrc",
    "idea": "echo evil > .idea/workspace.xml",
}


def tree(folder: Path) -> dict[str, str]:
    """What git and others would act on, with its content."""
    names = ("hooks", "config", "commondir", ".vscode", ".idea", ".envrc", ".bashrc", ".husky", "git.inc")
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.is_file() and (set(relative.parts) & set(names) or relative.name == ".git"):
            found[str(relative)] = path.read_text(encoding="utf-8")
    return found


def fill(root: Path) -> None:
    (root / ".git/hooks/pre-push").write_text("#!/bin/sh\n", encoding="ascii")
    repository(root / "deep" / "nested")
    (root / ".git/modules").mkdir()
    repository(root / "sub-made")
    (root / "sub-made/.git").rename(root / ".git/modules/sub")
    (root / "sub-made").rename(root / "sub")
    (root / "sub/.git").write_text("gitdir: ../.git/modules/sub\n", encoding="ascii")
    subprocess.run(["git", "worktree", "add", "-q", "w"], cwd=root, check=True, env=CLEAN)
    names = (".husky/pre-commit", ".vscode/tasks.json", ".idea/workspace.xml", ".envrc", ".bashrc", "settings/git.inc")
    for name in (*names, "tools/hooks/pre-commit"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("# harmless\n", encoding="ascii")
    with (root / ".git/config").open("a", encoding="ascii") as file:
        file.write("[include]\n\tpath = ../settings/git.inc\n[core]\n\thooksPath = tools/hooks\n")


@pytest.mark.parametrize("line", GUARDED.values(), ids=GUARDED)
def test_what_others_run_stays_as_it_is(place: Place, line: str) -> None:
    fill(place.root)
    before = tree(place.root)
    told = shell(place.box, f"set -e; {line}", place.root)
    assert told.code != 0, told.output
    assert tree(place.root) == before


CONTROLS = [
    "new-hook",
    "existing-hook",
    "git-renamed",
    "config",
    "submodule-hook",
    "worktree-commondir",
    "vscode",
    "husky",
]


@pytest.mark.parametrize("name", CONTROLS)
def test_control_of_what_others_run(place: Place, name: str) -> None:
    fill(place.root)
    before = tree(place.root)
    assert unconfined(["/bin/bash", "-c", f"set -e; {GUARDED[name]}"], place.root, CLEAN).code == 0
    assert tree(place.root) != before


def test_git_works_in_a_guarded_repository(place: Place) -> None:
    fill(place.root)
    line = (
        "set -e; export GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@e.x GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@e.x;"
        "echo 1 > file; git add file; git commit -q --no-verify -m second; git checkout -q -b side; echo 2 > file;"
        "git stash -q; git stash pop -q; git commit -qanm third; git checkout -q main; git merge -q side; git tag v1;"
        "git gc -q; git log --oneline | wc -l; cd deep/nested; git commit -q --allow-empty -m x; cd ../..; mkdir n;"
        "cd n; git init -q; git status -s; git clone -q .. ../clone; rm -rf ../clone"
    )
    told = shell(place.box, line, place.root)
    assert told.code == 0 and "3\n" in told.output, told.output


@pytest.mark.parametrize("name", [".vscode", ".idea", ".envrc", ".git/commondir"])
def test_what_was_missing_and_a_job_made_is_set_aside(place: Place, name: str) -> None:
    told = shell(place.box, f"echo evil > {name}", place.root)
    assert told.code == 0
    assert not (place.root / name).exists()
    assert told.set_aside == (f"{place.root / name}.from-job",)
    assert shell(place.box, f"echo evil > {name}", place.root).set_aside == (f"{place.root / name}.from-job-2",)


def test_hooks_that_are_missing_cannot_be_made(place: Place) -> None:
    for hook in (place.root / ".git/hooks").iterdir():
        hook.unlink()
    (place.root / ".git/hooks").rmdir()
    assert shell(place.box, "mkdir -p .git/hooks; echo x > .git/hooks/pre-commit", place.root).code != 0
    assert list((place.root / ".git/hooks").iterdir()) == []


@pytest.mark.parametrize("name", ["hooks", "config", "modules", "worktrees"])
def test_parts_of_git_that_are_links_make_it_read_only(place: Place, name: str) -> None:
    """A link cannot be mounted over; and what it leads to outside is not mounted in."""
    target = place.outside / name
    (place.root / ".git" / name).rename(target) if (place.root / ".git" / name).exists() else target.mkdir()
    (place.root / ".git" / name).symlink_to(target)
    assert shell(place.box, f"rm .git/{name}", place.root).code != 0
    assert shell(place.box, f"ls {target}", place.root).code != 0
    assert (place.root / ".git" / name).is_symlink()


def test_a_git_that_is_a_link_cannot_be_replaced(place: Place) -> None:
    inner = place.root / "inner"
    inner.mkdir()
    (inner / ".git").symlink_to(place.root / ".git")
    assert shell(place.box, "rm inner/.git && mkdir -p inner/.git/hooks", place.root).code != 0
    assert (inner / ".git").is_symlink()


def test_the_agents_own_program_cannot_be_changed(tmp_path: Path) -> None:
    box = Sandbox((PROJECT,), settings(), job_settings())
    for line in ("echo x >> agent_wsl/service.py", "mv agent_wsl a", "rm agent_wsl/service.py"):
        assert shell(box, line, PROJECT).code != 0
    box.close()


def test_a_link_planted_while_the_mounts_are_made_leads_nowhere(place: Place) -> None:
    """Somebody swaps a directory for a link to the outside again and again, while commands start."""
    target, away = place.other / "repo", place.other / "away"
    repository(target)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            os.rename(target, away)
            with suppress(OSError):
                os.symlink(place.outside, target)
                os.unlink(target)
            while away.exists():
                try:
                    os.rename(away, target)
                except OSError:
                    # bubblewrap has made mount points there in between: empty directories, inside the root.
                    shutil.rmtree(target, ignore_errors=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(60):
            try:
                told = shell(place.box, f"cat {target}/secret {target}/.git/hooks/secret; true", place.other)
            except Exception as error:
                assert "allowed directory" in str(error)
                continue
            assert CANARY not in told.output
    finally:
        stop.set()
        thread.join()


# --- network, sockets, other processes --------------------------------------------------------------------------


def test_no_port_of_this_machine_is_reached(place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        text = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3)"
        assert python(place.box, text, place.root).code != 0
        assert unconfined([PYTHON, "-I", "-c", text], place.root).code == 0


@pytest.mark.parametrize("abstract", [False, True], ids=["in-a-root", "abstract"])
def test_no_unix_socket_is_reached(place: Place, abstract: bool) -> None:
    address = f"\0{place.root.name}-{os.getpid()}" if abstract else str(place.root / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        text = f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})"
        assert "PermissionError" in python(place.box, text, place.root).output
        assert unconfined([PYTHON, "-I", "-c", text], place.root).code == 0


def test_a_datagram_pair_is_not_connected_to_a_socket_in_a_root(place: Place) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(place.root / "socket"))
        text = "import socket; a, b = socket.socketpair(1, 2); a.connect('socket'); a.send(b'out')"
        assert "PermissionError" in python(place.box, text, place.root).output
        assert unconfined([PYTHON, "-I", "-c", text], place.root).code == 0


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="machine code of x86")
def test_calls_of_32_bits_end_the_process(place: Place) -> None:
    """socketcall(socket, AF_UNIX) by int 0x80, in memory that is made executable."""
    text = (
        "import ctypes, mmap; m = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40);"
        "m.write(bytes.fromhex('53b814000000cd805bc3'));"  # push rbx; mov eax, 20 (getpid); int 0x80; pop rbx; ret
        "print('made', ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())"
    )
    assert "made" not in python(place.box, text, place.root).output
    assert "made" in unconfined([PYTHON, "-I", "-c", text], place.root).output


@pytest.mark.parametrize(
    "line",
    ["bwrap --ro-bind / / true", "unshare -U true", "unshare -Ur true", "nsenter -t 1 -m true", "chroot / true",
     "mount -t tmpfs x /tmp", "umount /proc", "strace -f true", "dmesg", "setarch -R true"],
    ids=lambda line: line.split()[0] + line.split()[1][:3] if " " in line else line,
)  # fmt: skip
def test_programs_that_change_what_can_be_seen(place: Place, line: str) -> None:
    assert shell(place.box, line, place.root).code != 0


def test_no_process_of_the_machine_is_seen_or_hit(place: Place) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        line = f"kill -9 {bystander.pid}; kill -9 -1; true"
        shell(place.box, line, place.root)
        names = shell(place.box, "cat /proc/[0-9]*/comm | sort | uniq -c | wc -l", place.root).output
        assert int(names) <= 6
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_descriptors_of_the_agent_are_not_inherited(place: Place) -> None:
    with (place.outside / "secret").open("rb") as file, socket.create_server(("127.0.0.1", 0)) as listener:
        os.set_inheritable(file.fileno(), True)
        os.set_inheritable(listener.fileno(), True)
        line = f"cat /proc/*/fd/{file.fileno()}; ls -l /proc/[0-9]*/fd"
        told = shell(place.box, f"({line}) 2>&1", place.root).output
        assert CANARY not in told and "socket:" not in told


@pytest.mark.parametrize("victim", ["bubblewrap", "init"])
def test_nothing_outlives_bubblewrap(place: Place, victim: str) -> None:
    """A command that runs on, in a session of its own, ends with it."""
    line = "setsid sh -c 'trap \"\" TERM HUP INT; while sleep 0.05; do date +%N > beat; done' & wait"
    with place.box.prepare(["/bin/bash", "-c", line], str(place.root)) as prepared:
        started = prepared.start(subprocess.DEVNULL, subprocess.DEVNULL)
    beat = place.root / "beat"
    with running(started) as process:
        deadline = time.monotonic() + 20
        while not beat.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        init = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()[0])
        os.kill(process.pid if victim == "bubblewrap" else init, signal.SIGKILL)
        process.wait(10)
    time.sleep(0.5)
    last = beat.read_text(encoding="ascii")
    time.sleep(0.5)
    assert beat.read_text(encoding="ascii") == last
    prepared.finish()


def test_commands_end_with_the_agent(place: Place) -> None:
    text = (
        "import sys, subprocess; from pathlib import Path; from tests.agent.confined import *;"
        "box = Sandbox((Path(sys.argv[1]),), settings(), job_settings());"
        "started = box.prepare(['/bin/sh', '-c', sys.argv[2]], sys.argv[1]).start(1, 2);"
        "started.let_go(started.find_init()); started.process.wait()"
    )
    line = "while sleep 0.05; do date +%N > beat; done"
    agent = subprocess.Popen([sys.executable, "-c", text, place.root, line], env={**CLEAN, "PYTHONPATH": IMPORTS})
    beat = place.root / "beat"
    deadline = time.monotonic() + 30
    while not beat.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    agent.kill()
    agent.wait()
    time.sleep(0.5)
    last = beat.read_text(encoding="ascii")
    time.sleep(0.5)
    assert beat.read_text(encoding="ascii") == last


# --- words that could be options --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [["--bind", "/", "/", "true"], ["--", "cat"], ["--ro-bind"], ["-c", "id"], ["-x"], ["exec"], ["cd", "/"]],
    ids=lambda argv: " ".join(argv),
)
def test_no_word_of_the_command_is_an_option(place: Place, argv: list[str]) -> None:
    assert run(place.box, argv, place.root).code in (1, 2, 126, 127)


@pytest.mark.parametrize("cwd", ["{root}\0--bind\0/\0/", "{root}/gone", "/nonexistent", "--bind"])
def test_a_directory_that_is_none(place: Place, cwd: str) -> None:
    try:
        told = run(place.box, ["cat", f"{place.outside}/secret"], Path(cwd.format(root=place.root)))
    except Exception as error:
        assert "NUL" in str(error) or "outside the allowed" in str(error)
        return
    assert told.code != 0 and CANARY not in told.output


def test_options_are_not_told_to_the_command(place: Place) -> None:
    """What is guarded, and where the agent lives, can be read off the command line of bubblewrap's init otherwise."""
    assert "bind" not in shell(place.box, "cat /proc/1/cmdline", place.root).output.replace("\0", " ").split("cat")[0]


def test_the_agent_reads_nothing_through_a_link_that_a_command_planted(place: Place) -> None:
    """A symbolic link may be made; it is the reader's side that has to refuse it."""
    assert shell(place.box, f"ln -s {place.outside}/secret l && mkfifo f", place.root).code == 0
    from agent_wsl.errors import Refusal
    from agent_wsl.files.reading import Files
    from agent_wsl.files.root import Roots
    from agent_wsl.protocol import ReadFile

    files = Files(Roots((place.root,)), 1 << 20)
    for name in ("l", "f"):
        with pytest.raises(Refusal):
            files.read(ReadFile(str(place.root / name)))
