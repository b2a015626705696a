"""The system call filter of commands: what namespaces do not confine, and what a build tool never needs.

A list of refusals on top of "allow": a list of permissions breaks with every new libc. What is refused is refused with
EPERM, save `clone3` and calls newer than this file, which get ENOSYS so that libc falls back to what it knows.

Arguments of type `int` are compared on their low 32 bits alone, because that is all the kernel looks at: a comparison
of 64 bits would let `socket(1 << 32 | AF_UNIX)` through.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

LOW = 0xFFFF_FFFF
TERMINAL_INPUT = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX put characters into a terminal as if they had been typed."""
NAMESPACE_FLAGS = (0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. (NEWTIME is no flag of `clone`.)"""
WEAKENING = (0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000)
"""ADDR_NO_RANDOMIZE, FDPIC_FUNCPTRS, MMAP_PAGE_ZERO, ADDR_COMPAT_LAYOUT, READ_IMPLIES_EXEC."""

SET_USER_ID = 0o4000
"""(Set-group-id is left alone: directories inherit it, and tools set it again.)"""
MAKING = (0o100, 0o20_000_000)
"""O_CREAT and the bit of O_TMPFILE that is its own."""

REFUSED = (
    # other processes
    "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "process_madvise", "pidfd_getfd",
    # the shape of the file system and of the namespaces
    "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount",
    "fspick", "mount_setattr", "statmount", "listmount", "unshare", "setns",
    # roads round path names
    "open_by_handle_at", "name_to_handle_at",
    # surfaces of the kernel that had many holes
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "perf_event_open", "vmsplice",
    "keyctl", "add_key", "request_key", "memfd_secret", "fanotify_init", "lookup_dcookie",
    # the machine
    "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "create_module", "swapon",
    "swapoff", "reboot", "acct", "quotactl", "quotactl_fd", "syslog", "iopl", "ioperm", "settimeofday", "adjtimex",
    "clock_settime", "clock_adjtime", "sethostname", "setdomainname", "vhangup", "nfsservctl",
    "migrate_pages", "move_pages", "uselib", "ustat", "sysfs", "_sysctl",
)  # fmt: skip
NUMBERS = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "openat2": 437,
    "pidfd_getfd": 438, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
    "fchmodat2": 452, "statmount": 457, "listmount": 458,
}  # fmt: skip
"""The same on every architecture from 424 on; libseccomp may be older than they are."""
OLD_CALLS = frozenset({
    "open", "creat", "chmod", "mknod",
    "umount", "create_module", "nfsservctl", "uselib", "ustat", "sysfs", "_sysctl", "iopl", "ioperm", "lookup_dcookie",
})  # fmt: skip
"""Not there on every architecture or in every libseccomp."""
NEWER = range(467, 500)
"""From open_tree_attr (Linux 6.15) on."""


class FilterUnavailable(Exception):
    """The sentence says what is missing and how to get it."""


@dataclass(frozen=True, slots=True)
class Match:
    """Argument number `index` matches when `argument & mask == value`."""

    index: int
    mask: int
    value: int


@dataclass(frozen=True, slots=True)
class Rule:
    call: str | int
    error: int
    when: tuple[Match, ...] = ()
    """All of them. Empty: always."""


def rules() -> Iterator[Rule]:
    for name in REFUSED:
        yield Rule(name, errno.EPERM)
    yield Rule("clone3", errno.ENOSYS)  # its flags lie in memory, where no filter sees them
    for number in NEWER:
        yield Rule(number, errno.ENOSYS)
    for flag in NAMESPACE_FLAGS:
        yield Rule("clone", errno.EPERM, (Match(0, flag, flag),))
    for request in TERMINAL_INPUT:
        yield Rule("ioctl", errno.EPERM, (Match(1, LOW, request),))
    for flag in WEAKENING:  # all bits at once only ask
        yield Rule("personality", errno.EPERM, (Match(0, 1 << 31 | flag, flag),))
    yield from _mode_rules()
    yield from _socket_rules()


def _mode_rules() -> Iterator[Rule]:
    """No set-user-id programs in an allowed directory: outside, others could run them as the user of the agent."""
    for call, index in (("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("fchmodat2", 2), ("mknod", 1), ("mknodat", 2)):
        yield Rule(call, errno.EPERM, (Match(index, SET_USER_ID, SET_USER_ID),))
    yield Rule("creat", errno.EPERM, (Match(1, SET_USER_ID, SET_USER_ID),))
    for call, flags in (("open", 1), ("openat", 2)):
        for making in MAKING:  # without these flags the mode means nothing, and may be anything
            yield Rule(call, errno.EPERM, (Match(flags, making, making), Match(flags + 1, SET_USER_ID, SET_USER_ID)))
    yield Rule("openat2", errno.ENOSYS)  # its mode lies in memory


def _socket_rules() -> Iterator[Rule]:
    """Bits that no allowed value has, then what the bits together exclude. Domains from 64 on exist nowhere."""
    # Of a domain: 2 is 00010, 10 is 01010, 16 is 10000.
    for bit in (0, 2, 5):
        yield Rule("socket", errno.EPERM, (_bit(0, bit),))
    for mask, value in ((0b10010, 0), (0b10010, 0b10010), (0b11000, 0b11000)):
        yield Rule("socket", errno.EPERM, (Match(0, mask, value),))
    # Of netlink, routing alone (0): libc lists addresses with it.
    for bit in range(5):
        yield Rule("socket", errno.EPERM, (_bit(0, 4), _bit(2, bit)))
    # A pair of datagram sockets can be connected anew, to a path; of streams (1) and packets (5) it cannot.
    yield Rule("socketpair", errno.EPERM, (Match(0, 1, 0),))
    for bit in range(1, 6):
        yield Rule("socketpair", errno.EPERM, (_bit(0, bit),))
    yield Rule("socketpair", errno.EPERM, (Match(1, 1, 0),))
    for bit in (1, 3):
        yield Rule("socketpair", errno.EPERM, (_bit(1, bit),))


def _bit(index: int, bit: int) -> Match:
    return Match(index, 1 << bit, 1 << bit)


def build_filter() -> bytes:
    """The program as `bwrap --seccomp` wants it: an array of `struct sock_filter`. Raises FilterUnavailable."""
    try:
        # Looks for libseccomp when it is imported, and raises RuntimeError without it.
        import pyseccomp
    except (ImportError, RuntimeError, OSError):
        raise FilterUnavailable(
            "The system call filter needs libseccomp: run `sudo apt install libseccomp2` "
            "and `pip install -r requirements-wsl.txt`, then start the agent again."
        ) from None
    try:
        program = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
        # Calls of another architecture (int 0x80, x32) end the process: their numbers mean something else.
        program.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
        # A tree instead of a list: the kernel tries every call on the program when it is loaded.
        program.set_attr(pyseccomp.Attr.CTL_OPTIMIZE, 2)
        for rule in rules():
            matches = [pyseccomp.Arg(m.index, pyseccomp.MASKED_EQ, m.mask, m.value) for m in rule.when]
            try:
                program.add_rule(pyseccomp.ERRNO(rule.error), _number(rule.call), *matches)
            except OSError:
                if rule.call not in OLD_CALLS:
                    raise
        with os.fdopen(os.memfd_create("filter"), "rb+") as file:
            program.export_bpf(file)
            file.seek(0)
            return file.read()
    except OSError as error:
        raise FilterUnavailable(
            f"libseccomp cannot build the system call filter ({error.strerror}): "
            "run `sudo apt install --only-upgrade libseccomp2`, then start the agent again."
        ) from None


def _number(call: str | int) -> str | int:
    return NUMBERS.get(call, call) if isinstance(call, str) else call
