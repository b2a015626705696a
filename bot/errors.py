"""Everything that can go wrong, as one tree.

    SidetoneError             code        exit
    |- ConfigError            config       2    a wrong value in .env or on the command line
    |- ModelMissing           model_missing   3    a model file is not there
    |- ModelDamaged           model_damaged   4    a model file does not have its size or hash
    |- ModelBroken            model_broken    5    a whole file that its engine cannot load
    |- DownloadError          download     6    no source gave the file
    |- AudioDeviceError       audio_device 7    microphone or loudspeaker missing, busy or gone
    |- AudioFileError         audio_file   8    a WAV that cannot be read or written
    |- UnknownVoice           unknown_voice   9    no such Kokoro voice
    |- OutOfMemory            out_of_memory  10   the machine or the GPU has no room for an engine
    |- MissingPackage         missing_package 11   a Python package or shared library is not installed
    |- DiskError              disk        12   disk full, or a folder that cannot be written
    |- StageError             stage_failed  13   one stage of one turn failed; the session lives on
    |- UnavailableFeature     unavailable 14   asked for something this version does not have
    |- DiscordError           discord     15   log-in refused, intents missing, Discord unreachable
    |- AgentError             agent       16   the tool agent does not answer, or refuses a call (`reason`)
    `- ProviderError          provider    17   a model elsewhere does not answer, or refuses (`reason`)

Each error is one sentence that says what is wrong and what to do. 0 is success, 1 a defect of ours (with a
traceback), 130 an interruption by the user.
"""

from __future__ import annotations

from typing import ClassVar


class SidetoneError(Exception):
    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class ConfigError(SidetoneError):
    code = "config"
    exit_code = 2


class ModelMissing(SidetoneError):
    code = "model_missing"
    exit_code = 3


class ModelDamaged(SidetoneError):
    code = "model_damaged"
    exit_code = 4


class ModelBroken(SidetoneError):
    code = "model_broken"
    exit_code = 5


class DownloadError(SidetoneError):
    code = "download"
    exit_code = 6


class AudioDeviceError(SidetoneError):
    code = "audio_device"
    exit_code = 7


class AudioFileError(SidetoneError):
    code = "audio_file"
    exit_code = 8


class UnknownVoice(SidetoneError):
    code = "unknown_voice"
    exit_code = 9


class OutOfMemory(SidetoneError):
    code = "out_of_memory"
    exit_code = 10


class MissingPackage(SidetoneError):
    code = "missing_package"
    exit_code = 11


class DiskError(SidetoneError):
    code = "disk"
    exit_code = 12


class StageError(SidetoneError):
    code = "stage_failed"
    exit_code = 13


class UnavailableFeature(SidetoneError):
    code = "unavailable"
    exit_code = 14


class DiscordError(SidetoneError):
    code = "discord"
    exit_code = 15


class AgentError(SidetoneError):
    """`reason` is the agent's own code (`denied`, `rate_limited`, ...), or "unreachable"."""

    code = "agent"
    exit_code = 16

    def __init__(
        self, message: str, reason: str, *, retry_after_s: float | None = None, approval: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.approval = approval
        """With "approval_needed": what makes exactly this command pass, once, when a person has said yes."""


class ProviderError(SidetoneError):
    """`reason`: "key", "quota", "unreachable", "timeout", "rate_limited", "overloaded", "refused", "too_long", "model",
    "cut" (a stream that ended in the middle) or "failed"."""

    code = "provider"
    exit_code = 17

    def __init__(self, message: str, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s
        """What the provider asked for; None when it asked for nothing."""
