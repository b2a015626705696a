"""What the filter decides, read off the program itself: an interpreter of its instructions stands in for the kernel."""

from __future__ import annotations

import errno
import platform
import socket
import struct
import sys

import pytest

from agent_wsl.sandbox import seccomp
from agent_wsl.sandbox.seccomp import FilterUnavailable, build_filter

pyseccomp = pytest.importorskip("pyseccomp", reason="libseccomp is not installed")

ARCHITECTURES = {"x86_64": 0xC000_003E, "aarch64": 0xC000_00B7}
I386 = 0x4000_0003
NATIVE = ARCHITECTURES[platform.machine()]
ALLOW = 0x7FFF_0000
KILL = 0x8000_0000
REFUSED = 0x0005_0000 | errno.EPERM
NOT_THERE = 0x0005_0000 | errno.ENOSYS
HIGH = 1 << 32
"""A bit that the kernel does not look at in an argument of type int."""


@pytest.fixture(scope="module")
def program() -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("HBBI", build_filter()))


def decide(program: list[tuple[int, int, int, int]], call: str | int, *arguments: int, arch: int = NATIVE) -> int:
    """Classic BPF, as much of it as libseccomp writes."""
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call) if isinstance(call, str) else call
    assert number >= 0, f"{call} is not known"
    words = [a & (1 << 64) - 1 for a in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("=IIQ6Q", number, arch, 0, *words)
    accumulator = position = 0
    memory: dict[int, int] = {}
    while True:
        code, true, false, k = program[position]
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif code == 0x06:
            return k
        elif code == 0x05:
            position += k
        elif code in (0x15, 0x25, 0x35, 0x45):
            met = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}
            position += true if met[code] else false
        elif code == 0x54:
            accumulator &= k
        elif code == 0x02:
            memory[k] = accumulator
        elif code == 0x60:
            accumulator = memory[k]
        else:
            raise AssertionError(f"instruction {code:#x}")


Program = list[tuple[int, int, int, int]]
UNKNOWN = [name for name in seccomp.REFUSED if name not in seccomp.NUMBERS and name not in seccomp.OLD_CALLS]


@pytest.mark.parametrize("name", [*UNKNOWN, *(name for name in seccomp.NUMBERS if name != "fchmodat2")])
def test_calls_that_are_refused_altogether(program: Program, name: str) -> None:
    expected = NOT_THERE if name in ("clone3", "openat2") else REFUSED
    assert decide(program, seccomp.NUMBERS.get(name, name)) == expected


@pytest.mark.parametrize(
    "name",
    ["read", "write", "openat", "execve", "mmap", "mprotect", "futex", "epoll_wait", "vfork", "wait4", "prctl",
     "seccomp", "pipe2", "eventfd2", "inotify_init1", "memfd_create", "copy_file_range", "sendmsg", "recvmsg", "bind",
     "listen", "prlimit64", "sched_setaffinity",
     "mbind", "set_mempolicy", "rseq", "landlock_create_ruleset", "statx", "setsid"],
)  # fmt: skip
def test_calls_that_tool_chains_need(program: Program, name: str) -> None:
    if name in ("epoll_wait", "vfork") and platform.machine() != "x86_64":
        pytest.skip("not on this architecture")
    number = {"landlock_create_ruleset": 444, "rseq": 334 if ARCHITECTURES["x86_64"] == NATIVE else 293}
    assert decide(program, number.get(name, name)) == ALLOW


@pytest.mark.parametrize("high", [0, HIGH, 1 << 16], ids=["plain", "bit-32-set", "bit-16-set"])
@pytest.mark.parametrize(
    ("call", "before"),
    [("fchmod", (0,)), ("fchmodat", (0, 0)), (452, (0, 0)), ("mknodat", (0, 0)), ("openat", (0, 0, 0o101)),
     ("openat", (0, 0, 0o20_200_002))],
)  # fmt: skip
def test_no_set_user_id_program_is_made(program: Program, call: str | int, before: tuple[int, ...], high: int) -> None:
    assert decide(program, call, *before, high | 0o4755) == REFUSED
    assert decide(program, call, *before, high | 0o2755) == ALLOW
    assert decide(program, call, *before, high | 0o1777) == ALLOW


def test_a_mode_that_means_nothing_may_be_anything(program: Program) -> None:
    assert decide(program, "openat", 0, 0, 0o2_000_000, 0xFFFF_FFFF) == ALLOW


@pytest.mark.parametrize("domain", range(64))
@pytest.mark.parametrize("high", [0, HIGH, 0xFFFF_FFFF << 32], ids=["plain", "bit-32-set", "all-high-bits-set"])
def test_domains_of_sockets(program: Program, domain: int, high: int) -> None:
    expected = ALLOW if domain in (socket.AF_INET, socket.AF_INET6, 16) else REFUSED
    assert decide(program, "socket", high | domain, socket.SOCK_STREAM, 0) == expected


@pytest.mark.parametrize("protocol", range(32))
def test_netlink_is_for_routing_alone(program: Program, protocol: int) -> None:
    assert decide(program, "socket", 16, socket.SOCK_RAW, protocol) == (REFUSED if protocol else ALLOW)
    assert decide(program, "socket", HIGH | 16, socket.SOCK_RAW, HIGH | protocol) == (REFUSED if protocol else ALLOW)


def test_internet_sockets_take_any_protocol(program: Program) -> None:
    assert decide(program, "socket", socket.AF_INET6, socket.SOCK_DGRAM, 17) == ALLOW


@pytest.mark.parametrize("kind", range(16))
@pytest.mark.parametrize("flags", [0, socket.SOCK_CLOEXEC, socket.SOCK_NONBLOCK, HIGH], ids=hex)
def test_pairs_are_of_streams_or_packets(program: Program, kind: int, flags: int) -> None:
    expected = ALLOW if kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET) else REFUSED
    assert decide(program, "socketpair", socket.AF_UNIX, kind | flags) == expected
    assert decide(program, "socketpair", HIGH | socket.AF_UNIX, kind | flags) == expected


@pytest.mark.parametrize("domain", [0, 2, 3, 10, 16, 17, 30, 33, 38, 40, 45])
def test_pairs_of_anything_but_unix_sockets(program: Program, domain: int) -> None:
    assert decide(program, "socketpair", domain, socket.SOCK_STREAM) == REFUSED


@pytest.mark.parametrize("flag", seccomp.NAMESPACE_FLAGS, ids=hex)
def test_no_clone_makes_a_namespace(program: Program, flag: int) -> None:
    assert decide(program, "clone", flag | 17) == REFUSED
    assert decide(program, "clone", HIGH | flag | 17) == REFUSED


@pytest.mark.parametrize("flags", [17, 0x4111, 0x3D0F00], ids=["fork", "vfork", "thread"])
def test_processes_and_threads_are_made(program: Program, flags: int) -> None:
    assert decide(program, "clone", flags) == ALLOW


@pytest.mark.parametrize("request_", [0x5412, 0x541C], ids=["TIOCSTI", "TIOCLINUX"])
@pytest.mark.parametrize("high", [0, HIGH], ids=["plain", "bit-32-set"])
def test_nothing_types_into_a_terminal(program: Program, request_: int, high: int) -> None:
    assert decide(program, "ioctl", 0, high | request_) == REFUSED


@pytest.mark.parametrize("request_", [0x5401, 0x5413, 0x5421], ids=["TCGETS", "TIOCGWINSZ", "FIONBIO"])
def test_other_requests_pass(program: Program, request_: int) -> None:
    assert decide(program, "ioctl", 0, request_) == ALLOW


@pytest.mark.parametrize("persona", [0, 8, 0x2_0000, 0x2_0008, 0xFFFF_FFFF], ids=hex)
def test_harmless_personalities(program: Program, persona: int) -> None:
    assert decide(program, "personality", persona) == ALLOW


@pytest.mark.parametrize("persona", [0x4_0000, 0x40_0000, 0x10_0000, HIGH | 0x40_0000, 0x44_0000], ids=hex)
def test_personalities_that_weaken(program: Program, persona: int) -> None:
    assert decide(program, "personality", persona) == REFUSED


@pytest.mark.skipif(platform.machine() != "x86_64", reason="x86 alone has them")
@pytest.mark.parametrize("call", [1, 41, 101, 0x4000_0000 | 41], ids=["exit", "socket", "ptrace", "x32"])
def test_calls_of_other_architectures_end_the_process(program: Program, call: int) -> None:
    arch = NATIVE if call & 0x4000_0000 else I386
    assert decide(program, call, 1, arch=arch) == KILL


def test_calls_newer_than_the_filter_are_not_there(program: Program) -> None:
    assert {decide(program, number) for number in seccomp.NEWER} == {NOT_THERE}


def test_without_libseccomp_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(FilterUnavailable, match="sudo apt install libseccomp2"):
        build_filter()


def test_a_libseccomp_that_fails_is_no_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(pyseccomp.SyscallFilter, "add_rule", failing)
    with pytest.raises(FilterUnavailable, match="Invalid argument"):
        build_filter()
