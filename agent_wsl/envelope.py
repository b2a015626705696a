"""What every call over the wire has in common: version, limits, request, reply, error codes. Standard library only.

RPyC carries one method, `call(name: str, payload: bytes) -> bytes`. The payload is the JSON of `Request` (its `args`
are the fields of the call's dataclass in protocol.py), the answer that of `Reply`. An error is a value, never a
traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from agent_wsl.codec import Size

VERSION = 1
MAX_REQUEST = 1 << 20
"""Bytes of one frame towards the agent."""
MAX_REPLY = 16 << 20
"""Bytes of one frame from the agent."""
MAX_TEXT = 1 << 20
"""Characters of file text in one answer."""
MAX_CHUNK = 512 << 10
"""Bytes of job output in one answer."""
MAX_WAIT_S = 25.0
"""The longest long poll."""
APPROVAL_S = 120.0
"""How long an approval token lives."""

User = Annotated[str, Size(64, 1)]
"""Whose rate limit, jobs and audit entries these are: the Discord user's id."""


class ErrorCode(StrEnum):
    BAD_REQUEST = "bad_request"
    """No JSON, an unknown call, a field of the wrong type or out of range."""
    VERSION_MISMATCH = "version_mismatch"
    RATE_LIMITED = "rate_limited"
    """`retry_after_s` says when to try again."""
    DENIED = "denied"
    """Outside the allowed directories, or a way of getting there that is not allowed."""
    NOT_FOUND = "not_found"
    WRONG_TYPE = "wrong_type"
    """A directory where a file is wanted, a device, a FIFO."""
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    """The operating system refuses, or the text has no known encoding."""
    BAD_PATTERN = "bad_pattern"
    APPROVAL_NEEDED = "approval_needed"
    """`approval` is the token to send along once a person has said yes."""
    APPROVAL_INVALID = "approval_invalid"
    """Used, expired, or issued for another user, command or directory."""
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"
    """Commands are refused on this machine; the message says why and what to do."""
    BUSY = "busy"
    """Too many jobs or watches."""
    DISK_FULL = "disk_full"
    DEADLINE = "deadline"
    STOPPING = "stopping"
    INTERNAL = "internal"
    """A defect of the agent; its log has the traceback under the reference in the message."""


@dataclass(frozen=True, slots=True)
class WireError:
    code: ErrorCode
    message: str
    """A sentence for the user."""
    retry_after_s: float | None = None
    approval: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    user: User
    args: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """Exactly one of the two."""

    ok: dict[str, Any] | None = None
    error: WireError | None = None


R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Call(Generic[R]):
    """What a call's dataclass has beside its fields."""

    NAME: ClassVar[str]
    RESULT: ClassVar[type]
