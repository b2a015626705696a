"""Everything that can go wrong in the agent, as one tree.

    AgentFailure
    |- StartupError     exit     the agent does not start; one sentence on standard error
    |  |- ConfigError     2      a wrong value in .env or in the environment
    |  |- RootError       3      an allowed directory that does not exist or must not be one
    |  |- SandboxError    4      `--check` only: commands would be refused on this machine
    |  |- TlsError        5      certificates are missing, unreadable or do not belong together
    |  |- ListenError     6      the port is taken or the address is not this machine's
    |  `- StateError      7      the audit log or a job's output has no place to be written
    |- Unreachable               (client) no agent, or no answer: it may come back
    |  `- KeyRejected            (client) no common key or certificate: trying again helps nothing
    `- Refusal          code     one call is answered with an error; the agent lives on (`envelope.ErrorCode`)

0 is success, 1 a defect of ours (with a traceback), 130 an interruption by the user.
"""

from __future__ import annotations

from typing import ClassVar

from agent_wsl.envelope import ErrorCode


class AgentFailure(Exception):
    pass


class StartupError(AgentFailure):
    exit_code: ClassVar[int] = 1


class ConfigError(StartupError):
    exit_code = 2


class RootError(StartupError):
    exit_code = 3


class SandboxError(StartupError):
    exit_code = 4


class TlsError(StartupError):
    exit_code = 5


class ListenError(StartupError):
    exit_code = 6


class StateError(StartupError):
    exit_code = 7


class Unreachable(AgentFailure):
    pass


class KeyRejected(Unreachable):
    pass


class Refusal(AgentFailure):
    """Ends one call. `message` is a sentence that a user can act on and that names no path outside the roots."""

    def __init__(
        self, code: ErrorCode, message: str, *, retry_after_s: float | None = None, approval: str | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.approval = approval
        """With APPROVAL_NEEDED: the token that makes exactly this call pass, once, for two minutes."""
