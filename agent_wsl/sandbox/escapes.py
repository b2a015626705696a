"""The escape attempts: a program of its own, whose text `selftest` runs inside the sandbox (`python3 -c TEXT JSON`).

Each attempt returns what it got, or raises OSError (refused) or Absent (this machine has no such thing). One line of
JSON for each. Nothing of the agent is imported, for nothing of it is in there. Outside a sandbox it would do harm.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from fcntl import ioctl
from typing import Any

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
NUMBERS = {
    "ptrace": (101, 117), "mount": (165, 40), "pivot_root": (155, 41), "unshare": (272, 97), "setns": (308, 268),
    "clone": (56, 220), "clone3": (435, 435), "chroot": (161, 51), "keyctl": (250, 219), "add_key": (248, 217),
    "bpf": (321, 280), "userfaultfd": (323, 282), "perf_event_open": (298, 241), "io_uring_setup": (425, 425),
    "process_vm_readv": (310, 270), "pidfd_getfd": (438, 438), "open_by_handle_at": (304, 265), "fsopen": (430, 430),
    "open_tree": (428, 428), "init_module": (175, 105), "kexec_load": (246, 104), "syslog": (103, 116),
    "personality": (135, 92), "mount_setattr": (442, 442), "swapon": (167, 224),
}  # fmt: skip
"""On x86-64 and on 64-bit ARM."""
NEW_USER, NEW_NAMESPACE = 0x1000_0000, 0x0002_0000
ALARM_S = 5
SECRETS = ("KEY", "TOKEN", "SECRET", "PASSWORD", "WSL", "SSH_AUTH", "DBUS", "DOCKER")


class Absent(Exception):
    """There is nothing to try on this machine."""


def call(name: str, *arguments: int | bytes | ctypes.Array[Any]) -> int:
    """A system call without libc's help. Raises OSError."""
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result: int = LIBC.syscall(ctypes.c_long(NUMBERS[name][0 if X86 else 1]), *words)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def calls(name: str, *arguments: int | bytes | ctypes.Array[Any]) -> Callable[[], str]:
    def attempt() -> str:
        try:
            return f"{name} returned {call(name, *arguments)}"
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS):
                raise
            # The arguments are nonsense on purpose; that the kernel looked at them is what counts.
            return f"the kernel took the call {name} ({errno.errorcode.get(error.errno or 0)})"

    return attempt


def reads(*paths: str) -> Callable[[], str]:
    """The first of them that can be read gives the attempt away."""

    def attempt() -> str:
        if not paths:
            raise Absent("Not tried: the allowed directories lie there.")
        refusals = []
        for path in paths:
            try:
                if os.path.isdir(path):
                    return f"a directory that should not be there has {len(os.listdir(path))} entries"
                with open(path, "rb") as file:
                    return f"read {len(file.read(100))} bytes"
            except OSError as error:
                refusals.append(error)
        raise refusals[0]

    return attempt


def writes(path: str) -> Callable[[], str]:
    def attempt() -> str:
        with open(path, "ab") as file:
            file.write(b"")
        return "opened for writing"

    return attempt


def opens_socket(domain: int, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> Callable[[], str]:
    def attempt() -> str:
        descriptor = LIBC.socket(domain, kind, protocol)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return "the socket was made"

    return attempt


def connects(host: str, port: int) -> Callable[[], str]:
    def attempt() -> str:
        try:
            with socket.create_connection((host, port), timeout=ALARM_S - 2):
                return f"connected to {host}"
        except TimeoutError:
            return f"packets leave for {host}"

    return attempt


def resolves() -> str:
    return f"example.com is {socket.getaddrinfo('example.com', 443)[0][4][0]}"


def datagram_pair() -> str:
    """Two sockets without a call of socket(AF_UNIX), to be connected to a path afterwards."""
    left, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    left.connect("/run/nothing")
    return "a pair of datagram sockets was made and connected"


def wide_domain() -> str:
    """The kernel looks at the low 32 bits of a domain; does the filter look at all 64?"""
    number = 41 if X86 else 198
    result = LIBC.syscall(ctypes.c_long(number), ctypes.c_long(1 << 32 | socket.AF_UNIX), 1, 0)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "the socket was made"


def traces_a_process() -> str:
    child = os.fork()
    if not child:
        signal.pause()
    try:
        return calls("ptrace", 0x4206, child, 0, 0)()  # PTRACE_SEIZE: does not stop it
    finally:
        os.kill(child, signal.SIGKILL)


def joins_namespace() -> str:
    return calls("setns", os.open("/proc/1/ns/net", os.O_RDONLY), 0)()


def holds_descriptors() -> str:
    found = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2]
    strange = [target for target in found if not target.endswith("/fd")]
    if strange:
        return f"{len(strange)} descriptors of the agent are open in here"
    raise OSError(errno.ENOENT, "only its own input and output")


def types_into_terminal() -> str:
    _, slave = pty.openpty()
    ioctl(slave, 0x5412, b"x")
    return "put a character into a terminal"


def sees_processes() -> str:
    strangers = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as file:
            strangers.append(file.read().strip())
    # The init of the sandbox, the runner, and the child that looks.
    if len(strangers) > 4:
        return f"sees {len(strangers)} processes"
    raise OSError(errno.ENOENT, f"only its own {len(strangers)} processes")


def sees_keys() -> str:
    with open("/proc/self/environ", "rb") as file:
        names = [entry.split(b"=")[0].decode("utf-8", "replace") for entry in file.read().split(b"\0") if entry]
    found = [name for name in names if any(word in name.upper() for word in SECRETS)]
    if found:
        return f"sees the variables {', '.join(found)}"
    raise OSError(errno.ENOENT, f"{len(names)} harmless variables")


def gains_privileges() -> str:
    """A program with the set-user-id bit must not change the user."""
    with open("/proc/self/status", encoding="ascii") as file:
        status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    if status["NoNewPrivs"] != "1" or int(status["CapBnd"], 16) or int(status["CapEff"], 16):
        return "privileges can be gained"
    raise OSError(errno.EPERM, "no_new_privs is set and no capability is left")


def runs_windows_program() -> str:
    """binfmt_misc hands files that begin with MZ to /init of WSL, also where /init cannot be seen."""
    path = "/tmp/program.exe"  # noqa: S108
    with open(path, "wb") as file:
        file.write(b"MZ" + b"\0" * 510)
    os.chmod(path, 0o755)  # noqa: S103
    code = subprocess.run([path], stdin=subprocess.DEVNULL, capture_output=True, timeout=ALARM_S - 1).returncode  # noqa: S603
    if code == 0:
        return "a Windows program ran"
    raise OSError(errno.ENOEXEC, f"it ended with exit code {code}")


def makes_device() -> str:
    os.mknod("/tmp/device", 0o600 | 0o060000, os.makedev(8, 0))  # noqa: S108
    with open("/tmp/device", "rb") as file:  # noqa: S108
        file.read(1)
    return "made a device and read from it"


def plants_program(path: str) -> Callable[[], str]:
    """A program that whoever runs it outside runs as the agent's user."""

    def attempt() -> str:
        with open(path, "wb") as file:
            file.write(b"#!")
        os.chmod(path, 0o4755)  # noqa: S103
        return "set the set-user-id bit in an allowed directory"

    return attempt


def moves_git_away(repository: str) -> Callable[[], str]:
    def attempt() -> str:
        os.rename(f"{repository}/.git", f"{repository}/.git-away")
        return "renamed .git"

    return attempt


def reads_secret(path: str) -> Callable[[], str]:
    def attempt() -> str:
        with open(path, "rb") as file:
            if content := file.read():
                return f"read {len(content)} bytes"
        raise OSError(errno.ENOENT, "it is empty in here")

    return attempt


def attempts(given: dict[str, Any]) -> Iterator[tuple[str, Callable[[], str]]]:
    """`given`: paths and ports that were prepared outside, see `selftest`."""
    yield from _through_sockets(given)
    yield from _through_the_kernel()
    yield from _through_files(given)


def _through_sockets(given: dict[str, Any]) -> Iterator[tuple[str, Callable[[], str]]]:
    if not given["network"]:
        # An address that belongs to nobody: should the attempt succeed, nobody is bothered.
        yield "network: TCP to the internet", connects("192.0.2.1", 443)
        yield "network: TCP to the machine itself", connects("127.0.0.1", given["port"])
        yield "network: DNS", resolves
    yield "AF_UNIX", opens_socket(socket.AF_UNIX)
    yield "AF_UNIX with a domain of 64 bits", wide_domain
    yield "AF_UNIX through a pair of datagram sockets", datagram_pair
    yield "AF_VSOCK", opens_socket(40)
    yield "AF_PACKET", opens_socket(17, socket.SOCK_RAW)
    yield "AF_ALG", opens_socket(38, socket.SOCK_SEQPACKET)
    yield "AF_NETLINK beyond routing", opens_socket(16, socket.SOCK_RAW, 15)


def _through_the_kernel() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "io_uring", calls("io_uring_setup", 1, bytes(120))
    yield "ptrace", traces_a_process
    yield "memory of another process", calls("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0)
    yield "descriptors of another process", calls("pidfd_getfd", 0, 0, 0)
    yield "mount", calls("mount", b"none", b"/tmp", b"tmpfs", 0, 0)
    yield "mount, new interface", calls("fsopen", b"tmpfs", 0)
    yield "mount made writable", calls("mount_setattr", -100, b"/usr", 0, struct.pack("4Q", 0, 1, 0, 0), 32)
    yield "open_tree", calls("open_tree", -100, b"/", 1)
    yield "pivot_root", calls("pivot_root", b"/tmp", b"/tmp")
    yield "chroot", calls("chroot", b"/tmp")
    yield "unshare", calls("unshare", NEW_USER | NEW_NAMESPACE)
    yield "setns", joins_namespace
    yield "clone with a new namespace", calls("clone", NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
    yield "clone3", calls("clone3", struct.pack("8Q", NEW_USER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    yield "keyctl", calls("keyctl", 0, -3, 0)
    yield "add_key", calls("add_key", b"user", b"x", b"x", 1, -3)
    yield "bpf", calls("bpf", 0, bytes(72), 72)
    yield "userfaultfd", calls("userfaultfd", 1)
    yield "perf_event_open", calls("perf_event_open", bytes(112), 0, -1, -1, 0)
    yield "open_by_handle_at", calls("open_by_handle_at", -100, bytes(136), 0)
    yield "kernel modules", calls("init_module", b"", 0, b"")
    yield "kexec", calls("kexec_load", 0, 0, 0, 0)
    yield "kernel log", calls("syslog", 3, bytes(100), 100)
    yield "address randomisation switched off", calls("personality", 0x4_0000)
    yield "swap", calls("swapon", b"/tmp/swap", 0)
    yield "typing into a terminal (TIOCSTI)", types_into_terminal


def _through_files(given: dict[str, Any]) -> Iterator[tuple[str, Callable[[], str]]]:
    repository, outside = given["repository"], given["outside"]
    yield "writing outside the allowed directories", writes(outside)
    yield "reading outside the allowed directories", reads(outside)
    yield "reading outside through a link in a root", reads(f"{repository}/link")
    yield "reading a home directory", reads(*given["homes"])
    yield "reading /etc/shadow", reads("/etc/shadow", "/etc/gshadow")
    yield "writing to /usr", writes("/usr/bin/sidetone-selftest")
    yield "writing to /etc", writes("/etc/passwd")
    yield "writing .git/hooks", writes(f"{repository}/.git/hooks/pre-commit")
    yield "writing .git/config", writes(f"{repository}/.git/config")
    yield "putting another .git in the place of this one", moves_git_away(repository)
    yield "writing .vscode", writes(f"{repository}/.vscode/tasks.json")
    yield "reading .env", reads_secret(f"{repository}/.env")
    yield "processes of the machine", sees_processes
    yield "descriptors of the agent", holds_descriptors
    yield "keys in the environment", sees_keys
    yield "set-user-id programs", gains_privileges
    yield "planting a set-user-id program", plants_program(f"{repository}/program")
    yield "making a device", makes_device
    yield "disks and memory as devices", reads("/dev/mem", "/dev/kmem", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse")
    yield "writing /proc/sys", writes("/proc/sys/kernel/core_pattern")
    yield "writing its own memory through /proc", writes("/proc/self/mem")
    yield "/sys", reads("/sys/kernel", "/sys/fs/cgroup")
    yield "docker.sock", reads("/var/run/docker.sock", "/run/docker.sock")
    yield "WSL: /init and /run/WSL", reads("/init", "/run/WSL")
    yield "WSL: a Windows program", runs_windows_program
    yield "WSL: drives", reads(*given["drives"])


def tried(attempt: Callable[[], str]) -> tuple[bool, str]:
    try:
        return False, attempt()
    except Absent as absent:
        return True, str(absent)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "refused")
        return True, f"{error.strerror or error} ({name})"
    except subprocess.TimeoutExpired:
        return False, "it still ran after some seconds"


def main(given: dict[str, Any]) -> None:
    for name, attempt in attempts(given):
        child = os.fork()
        if not child:
            # In a process of its own: an attempt that works may have changed this one, or never end.
            signal.alarm(ALARM_S)
            held, detail = tried(attempt)
            os.write(1, json.dumps([name, held, detail]).encode("ascii") + b"\n")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS
            detail = "ended by the filter (SIGSYS)" if killed else f"the attempt ended with status {status}"
            os.write(1, json.dumps([name, killed, detail]).encode("ascii") + b"\n")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
