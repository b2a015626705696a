"""One call: decoded, counted, carried out within its deadline, written down, answered. Never raises, never leaks."""

from __future__ import annotations

import dataclasses
import logging
import re
import secrets
import shlex
import time
from collections.abc import Callable, Mapping
from typing import Any

from agent_wsl import codec, envelope, protocol
from agent_wsl.audit import Audit
from agent_wsl.envelope import Call, ErrorCode, Reply, Request, WireError
from agent_wsl.errors import Refusal
from agent_wsl.limits import RateLimits
from agent_wsl.worker import DeadlinePool

Handler = Callable[[str, Any], object]
"""(user, call) to the call's result; raises Refusal."""
DEADLINES_S = {
    "read_file": 20.0,
    "list_dir": 20.0,
    "search": 30.0,
    "watch_add": 30.0,
    "watch_remove": 20.0,
    "run": 20.0,
}
"""Of calls that touch the file system and could hang in it. The others bound themselves by their own `wait_s`."""
LONG_POLLS = frozenset({"changes", "job_output", "job_status"})
"""Written down only when they fail: a reader makes thousands, which would push everything else out of the log."""
USER = re.compile(r"[\w.:@-]{1,64}", re.ASCII)
log = logging.getLogger(__name__)


class Dispatcher:
    def __init__(
        self,
        handlers: Mapping[str, Handler],
        limits: RateLimits,
        audit: Audit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._handlers = handlers
        self._limits = limits
        self._audit = audit
        self._clock = clock
        self._pool = DeadlinePool()
        self._stopping = False

    def __call__(self, name: str, payload: bytes) -> bytes:
        """The bytes of a `Reply`."""
        started = self._clock()
        user, target = "", ""
        try:
            user, call = decoded(name, payload)
            target = target_of(call)
            result = self._carried_out(user, call, target)
            reply, verdict = Reply(ok=dataclasses.asdict(result)), "ok"
        except Refusal as refusal:
            reply, verdict = _failure(refusal), refusal.code
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("A defect in %s, reference %s", name[:40], reference)
            message = f"The agent has a defect here; its log has the details under reference {reference}."
            reply, verdict = _failure(Refusal(ErrorCode.INTERNAL, message)), ErrorCode.INTERNAL
        if verdict != "ok" or name not in LONG_POLLS:
            self._audit.write(user, name[:40], target, verdict, self._clock() - started)
        return _encoded(reply)

    def stop(self) -> None:
        self._stopping = True

    def _carried_out(self, user: str, call: Call[Any], target: str) -> Any:
        if self._stopping:
            raise Refusal(ErrorCode.STOPPING, "The agent is being stopped.")
        self._limits.count(user, call.NAME)
        if call.NAME == "run" and not self._audit.write(user, "run", target, "asked", 0.0):
            message = "The audit log cannot be written, so nothing is run: make room on the agent's disk."
            raise Refusal(ErrorCode.DISK_FULL, message)
        result: Any
        handler, deadline = self._handlers[call.NAME], DEADLINES_S.get(call.NAME)
        result = self._pool.run(deadline, handler, user, call) if deadline else handler(user, call)
        if isinstance(call, protocol.Run) and call.wait_s:
            # Not under the deadline, whose threads are for what may hang.
            result = self._handlers[protocol.GetJob.NAME](user, protocol.GetJob(result.job_id, call.wait_s))
        return result


def decoded(name: str, payload: bytes) -> tuple[str, Call[Any]]:
    """The user and the call. Raises Refusal(BAD_REQUEST or VERSION_MISMATCH)."""
    kind = protocol.CALLS.get(name)
    if kind is None:
        raise Refusal(ErrorCode.BAD_REQUEST, f"There is no call {name[:40]!r}; there are {', '.join(protocol.CALLS)}.")
    try:
        request = codec.decode(Request, payload)
        if kind is protocol.Hello:
            # Before its fields: those of another version may be others.
            _same_version(request.args.get("version", envelope.VERSION))
        call = codec.build(kind, request.args)
    except codec.InvalidMessage as error:
        raise Refusal(ErrorCode.BAD_REQUEST, f"{name}: {error}") from None
    if not USER.fullmatch(request.user):
        raise Refusal(ErrorCode.BAD_REQUEST, "user must be 1 to 64 letters, digits or any of . _ : @ -")
    return request.user, call


def _same_version(version: object) -> None:
    if version != envelope.VERSION:
        raise Refusal(
            ErrorCode.VERSION_MISMATCH,
            f"The agent speaks version {envelope.VERSION} of the protocol, the bot {str(version)[:20]}: "
            "update both to the same release of Sidetone.",
        )


def target_of(call: Call[Any]) -> str:
    """What the audit log says the call was about."""
    match call:
        case protocol.Run(argv=argv, shell=shell, cwd=cwd):
            return f"{shell if argv is None else shlex.join(argv)} (in {cwd})"
        case protocol.GetJob() | protocol.JobOutput() | protocol.JobKill():
            return call.job_id
    path: str = getattr(call, "path", "")
    return path


def _failure(refusal: Refusal) -> Reply:
    return Reply(error=WireError(refusal.code, refusal.message, refusal.retry_after_s, refusal.approval))


def _encoded(reply: Reply) -> bytes:
    encoded = codec.encode(reply)
    if len(encoded) > envelope.MAX_REPLY - 1024:
        message = "The answer is larger than the wire allows; ask for less at once."
        return codec.encode(_failure(Refusal(ErrorCode.TOO_LARGE, message)))
    return encoded
