"""RPyC reduced to what the wire needs: one method, called with a str and bytes by value. The rest is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import rpyc
from rpyc.core import brine, consts
from rpyc.core.protocol import Connection

Dispatch = Callable[[str, bytes], bytes]
METHOD = "call"
REQUEST = brine.I1.pack(consts.MSG_REQUEST)
CONFIG: dict[str, Any] = {
    "allow_public_attrs": False,
    "allow_safe_attrs": False,
    "allow_exposed_attrs": True,
    "allow_all_attrs": False,
    "allow_pickle": False,
    "allow_getattr": True,
    "allow_setattr": False,
    "allow_delattr": False,
    "import_custom_exceptions": False,
    "instantiate_custom_exceptions": False,
    "include_local_traceback": False,
    "include_local_version": False,
    "propagate_SystemExit_locally": False,
    "propagate_KeyboardInterrupt_locally": False,
    "log_exceptions": False,
    "bind_threads": False,
}
"""Written out in full: RPyC's defaults are more generous, and change."""


class Refused(Exception):
    """Goes to the peer as text; the connection lives on."""


class Surface(rpyc.Service):  # type: ignore[misc]
    """What a peer sees of the agent."""

    def __init__(self, dispatch: Dispatch) -> None:
        super().__init__()
        self._dispatch = dispatch
        self.bound = self.exposed_call
        """One object for all requests: RPyC remembers each that it hands out."""

    def exposed_call(self, name: str, payload: bytes) -> bytes:
        if type(name) is not str or type(payload) is not bytes:
            raise Refused("call(name: str, payload: bytes) takes exactly these types.")
        return self._dispatch(name, payload)


class HardenedConnection(Connection):  # type: ignore[misc]
    """The agent's end. It asks its peer for nothing, ever: no reference of the peer's is accepted, so there is nothing
    that it could touch, and closing does not wait for an answer."""

    @classmethod
    def _request_handlers(cls) -> dict[int, Any]:
        return {
            consts.HANDLE_CLOSE: cls._handle_close,
            consts.HANDLE_GETROOT: cls._handle_getroot,
            consts.HANDLE_GETATTR: cls._handle_getattr,
            consts.HANDLE_CALL: cls._handle_call,
            consts.HANDLE_CALLATTR: cls._handle_callattr,
            consts.HANDLE_DEL: cls._handle_del,
            consts.HANDLE_INSPECT: cls._handle_inspect,
        }

    def _unbox(self, package: Any) -> Any:
        label, _ = package
        if label == consts.LABEL_REMOTE_REF:
            raise Refused("values only: None, bool, int, float, str, bytes and tuples of them.")
        return super()._unbox(package)

    def _handle_getattr(self, obj: Any, name: object) -> Any:
        if obj is not self._local_root or name not in (METHOD, METHOD.encode()):
            raise Refused(f"there is nothing but {METHOD}().")
        return self._local_root.bound

    def _handle_call(self, obj: Any, args: Any, kwargs: Any = ()) -> bytes:
        if obj is not self._local_root.bound or kwargs or type(args) is not tuple or len(args) != 2:
            raise Refused(f"there is nothing but {METHOD}(name, payload).")
        result: bytes = self._local_root.bound(*args)
        return result

    def _dispatch(self, data: bytes) -> None:
        # Answers to what was never asked: RPyC would make a class of every new name of an exception, and keep it.
        if data[:1] != REQUEST:
            raise EOFError("the agent asked its peer for nothing, so there is nothing to answer")
        super()._dispatch(data)

    def _async_request(self, *_: object, **__: object) -> NoReturn:
        raise EOFError("the agent asks its peer for nothing")

    def close(self) -> None:
        if not self._closed:
            self._cleanup(_anyway=True)
