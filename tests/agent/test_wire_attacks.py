"""Hostile peers, before and after the key has been shown. After each the agent still answers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rpyc
from rpyc.core import brine, consts
from rpyc.core.channel import Channel
from rpyc.core.protocol import Connection
from rpyc.core.stream import SocketStream
from rpyc.lib import get_id_pack

from agent_wsl import codec
from agent_wsl.client import connect
from agent_wsl.envelope import MAX_REQUEST, Request
from agent_wsl.errors import KeyRejected, Unreachable
from agent_wsl.protocol import CALLS, Changes, GetJob, Hello, JobOutput, ListDir, ReadFile, Run, Search
from agent_wsl.wire import handshake
from tests.agent.process import KEY, AgentProcess, running

HEADER = struct.Struct("!LB")


def closed(sock: socket.socket, within_s: float) -> bool:
    """Whether the agent ends the connection (answers before that are read and dropped)."""
    sock.settimeout(within_s)
    until = time.monotonic() + within_s
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            if not sock.recv(65536):
                return True
        return False
    return time.monotonic() < until


def frame(data: bytes, compressed: int = 0) -> bytes:
    return HEADER.pack(len(data), compressed) + data + b"\n"


def request(handler: int, *args: Any, seq: int = 1) -> bytes:
    boxed = (consts.LABEL_TUPLE, tuple(args))
    return brine.I1.pack(consts.MSG_REQUEST) + brine.dump((seq, (handler, boxed)))


@contextlib.contextmanager
def hostile(agent: AgentProcess) -> Iterator[Connection]:
    """A full RPyC client, with RPyC's own defaults and every permission given to the agent."""
    everything = {"allow_all_attrs": True, "allow_pickle": True, "allow_setattr": True, "sync_request_timeout": 10}
    connection = Connection(rpyc.VoidService(), Channel(SocketStream(agent.raw())), everything)
    try:
        yield connection
    finally:
        connection._cleanup(_anyway=True)


# --- before the key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 64, os.urandom(64), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + b"x" * 64, b"\x16\x03\x01" + b"\0" * 100],
    ids=["zeros", "random", "http", "tls"],
)  # fmt: skip
def test_garbage_instead_of_a_proof(tmp_path: Path, garbage: bytes) -> None:
    with running(tmp_path) as agent:
        with agent.raw(authenticated=False) as sock:
            sock.sendall(garbage)
            assert closed(sock, 3)
        agent.is_alive()


def test_a_large_flood_before_the_key_is_not_taken_in(agent: AgentProcess) -> None:
    before = memory(agent)
    with agent.raw(authenticated=False) as sock:
        with contextlib.suppress(OSError):
            for _ in range(64):
                sock.sendall(os.urandom(1 << 20))
        assert closed(sock, 3)
    assert memory(agent) - before < 20 << 20
    agent.is_alive()


def test_a_replayed_proof_is_worthless(agent: AgentProcess) -> None:
    key = handshake.derive(KEY)
    with agent.raw(authenticated=False) as sock:
        nonce = handshake.receive(sock, len(handshake.MAGIC) + 32)[-32:]
        mine = os.urandom(32)
        recorded = mine + handshake.proof(key, b"client", nonce, mine)
        sock.sendall(recorded)
        assert handshake.receive(sock, 1) == handshake.WELCOME
    with agent.raw(authenticated=False) as sock:
        handshake.receive(sock, len(handshake.MAGIC) + 32)
        sock.sendall(recorded)
        assert handshake.receive(sock, 1) == handshake.WRONG_KEY
        assert closed(sock, 3)
    agent.is_alive()


def test_the_agents_own_proof_cannot_be_reflected(agent: AgentProcess) -> None:
    with agent.raw(authenticated=False) as first, agent.raw(authenticated=False) as second:
        one = handshake.receive(first, len(handshake.MAGIC) + 32)[-32:]
        handshake.receive(second, len(handshake.MAGIC) + 32)
        second.sendall(one + handshake.proof(b"x" * 32, b"client", one, one))
        assert handshake.receive(second, 1) == handshake.WRONG_KEY
    agent.is_alive()


def test_the_key_is_never_on_the_wire(agent: AgentProcess) -> None:
    """A relay between a real client and the agent sees everything that is said, over a whole conversation."""
    seen = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:
        relay = threading.Thread(target=relaying, args=(server, agent.port, seen))
        relay.start()
        with connect("127.0.0.1", server.getsockname()[1], KEY) as client:
            assert client.call("me", Hello()).version == 1
        relay.join(5)
    assert len(seen) > 300
    for secret in (KEY.encode(), handshake.derive(KEY)):
        assert secret not in seen
        assert secret.hex().encode() not in seen


def relaying(server: socket.socket, port: int, seen: bytearray) -> None:
    client, _ = server.accept()
    with client, socket.create_connection(("127.0.0.1", port)) as agent:

        def pump(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    seen.extend(data)
                    sink.sendall(data)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

        other = threading.Thread(target=pump, args=(agent, client))
        other.start()
        pump(client, agent)
        other.join(5)


def test_a_server_without_the_key_is_found_out() -> None:
    """Mutual: what answers on the agent's port must have the key as well."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def impostor() -> None:
            sock, _ = server.accept()
            with sock:
                sock.sendall(handshake.MAGIC + os.urandom(32))
                handshake.receive(sock, 64)
                sock.sendall(handshake.WELCOME + os.urandom(32))

        thread = threading.Thread(target=impostor)
        thread.start()
        with pytest.raises(KeyRejected, match="not your agent"):
            connect("127.0.0.1", server.getsockname()[1], KEY)
        thread.join(5)


def test_what_is_no_agent_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def web_server() -> None:
            sock, _ = server.accept()
            with sock:
                sock.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=web_server)
        thread.start()
        with pytest.raises(Unreachable, match="no Sidetone agent"):
            connect("127.0.0.1", server.getsockname()[1], KEY)
        thread.join(5)


def test_three_wrong_keys_slow_the_address_down_and_the_right_one_ends_it(tmp_path: Path) -> None:
    def attempt(key: str) -> float:
        started = time.monotonic()
        with contextlib.suppress(KeyRejected):
            connect("127.0.0.1", agent.port, key).close()
        return time.monotonic() - started

    with running(tmp_path) as agent:
        handshake.derive("wrong" * 5)
        quick = [attempt("wrong" * 5) for _ in range(3)]
        slow = [attempt("wrong" * 5) for _ in range(2)]
        assert max(quick) < 0.9
        assert slow[0] >= 1
        assert slow[1] >= 2
        assert attempt(KEY) >= 4
        assert attempt(KEY) < 0.9


def test_slow_loris_before_the_key(tmp_path: Path) -> None:
    """One byte a second would keep a thread for a minute; all of the handshake has five seconds."""
    with running(tmp_path) as agent, agent.raw(authenticated=False) as sock:
        started = time.monotonic()
        with contextlib.suppress(OSError):
            for _ in range(20):
                sock.sendall(b"x")
                if closed(sock, 1):
                    break
        assert time.monotonic() - started < 8
        agent.is_alive()


def test_a_crowd_that_says_nothing_locks_nobody_out(agent: AgentProcess) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", agent.port), 5))
        started = time.monotonic()
        agent.is_alive()
        assert time.monotonic() - started < 3


def test_half_open_connections_are_ended(tmp_path: Path) -> None:
    with running(tmp_path) as agent, agent.raw(authenticated=False) as sock:
        handshake.receive(sock, len(handshake.MAGIC) + 32)
        sock.shutdown(socket.SHUT_WR)
        assert closed(sock, 3)
        agent.is_alive()


# --- with the key: what the wire takes ----------------------------------------------------------------------------


@pytest.mark.parametrize("length", [MAX_REQUEST + 1, 200 << 20, 2**32 - 1])
def test_an_oversize_frame_is_refused_by_its_announcement(agent: AgentProcess, length: int) -> None:
    before = memory(agent)
    with agent.raw() as sock:
        sock.sendall(HEADER.pack(length, 0) + b"x" * 1000)
        assert closed(sock, 3)
    assert memory(agent) - before < 20 << 20
    agent.is_alive()


def test_a_compressed_bomb_is_not_unpacked(agent: AgentProcess) -> None:
    bomb = zlib.compress(b"\0" * (300 << 20), 9)
    assert len(bomb) < MAX_REQUEST
    before = memory(agent)
    with agent.raw() as sock:
        sock.sendall(frame(bomb, 1))
        assert closed(sock, 5)
    assert memory(agent) - before < 20 << 20
    agent.is_alive()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff" * 100, os.urandom(1000), brine.I1.pack(9) + b"x", brine.I1.pack(1), brine.I1.pack(1) + b"\xff",
        brine.I1.pack(1) + brine.dump(7), brine.I1.pack(1) + brine.dump((1, 2, 3)),
        brine.I1.pack(1) + b"\x0b" * 100_000,
        brine.I1.pack(2) + brine.dump((1, (consts.LABEL_REMOTE_REF, ("a", 1, 2)))),
        brine.I1.pack(3) + brine.dump((1, (("os", "system"), ("ls",), (), "tb"))), b"\x01" * (MAX_REQUEST - 10),
    ],
    ids=["empty", "ones", "random", "kind", "short", "tag", "number", "triple", "nested", "reply", "exception", "long"],
)  # fmt: skip
def test_frames_that_make_no_sense(agent: AgentProcess, data: bytes) -> None:
    with agent.raw() as sock:
        sock.sendall(frame(data))
        sock.settimeout(0.3)
        with contextlib.suppress(OSError):
            sock.recv(65536)
    agent.is_alive()


def test_slow_loris_within_a_frame(tmp_path: Path) -> None:
    with running(tmp_path) as agent, agent.raw() as sock:
        started = time.monotonic()
        sock.sendall(HEADER.pack(1000, 0))
        with contextlib.suppress(OSError):
            for _ in range(25):
                sock.sendall(b"x")
                if closed(sock, 1):
                    break
        assert 8 < time.monotonic() - started < 14
        agent.is_alive()


def test_a_peer_that_never_reads_is_let_go(agent: AgentProcess) -> None:
    """Each answer is large; the agent must not wait for ever to be rid of it."""
    (agent.root / "large.txt").write_text(("x" * 99 + "\n") * 5000, encoding="utf-8")
    payload = codec.encode(Request("me", {"path": "large.txt"}))
    with hostile(agent) as connection:
        call = connection.root.call
        identity = object.__getattribute__(call, "____id_pack__")
        sock = connection._channel.stream.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one = frame(request_for(identity, payload))
        ended = False
        started = time.monotonic()
        sock.settimeout(1)
        while time.monotonic() - started < 40 and not ended:
            try:
                sock.sendall(one * 20)
            except TimeoutError:
                continue
            except OSError:
                ended = True
        assert ended
    agent.is_alive()


def request_for(identity: tuple[str, int, int], payload: bytes) -> bytes:
    values = (consts.LABEL_TUPLE, ((consts.LABEL_VALUE, "read_file"), (consts.LABEL_VALUE, payload)))
    arguments = (consts.LABEL_TUPLE, ((consts.LABEL_LOCAL_REF, identity), values, (consts.LABEL_VALUE, ())))
    return brine.I1.pack(consts.MSG_REQUEST) + brine.dump((5, (consts.HANDLE_CALL, arguments)))


# --- with the key: what the one method takes ------------------------------------------------------------------------


class Liar:
    """/allowed at the first look, /etc/passwd at the second."""

    looks = 0

    def __str__(self) -> str:
        self.looks += 1
        return "notes.txt" if self.looks == 1 else "/etc/passwd"

    __repr__ = __fspath__ = __bytes__ = decode = encode = __str__


@pytest.mark.parametrize(
    "arguments",
    [
        (Liar(), b"{}"), ("read_file", Liar()), ("read_file", [1]), ("read_file", {"path": "x"}),
        (["read_file"], b"{}"),
        ("read_file", bytearray(b"{}")), ("read_file", memoryview(b"{}")), ("read_file", lambda: b"{}"),
        ("read_file", ("a", Liar())), ("read_file", open),
        ("read_file", "{}"), (b"read_file", b"{}"), ("read_file", None),
        ("read_file", 1), ("read_file", 1.5), (), ("read_file",), ("read_file", b"{}", b"{}"),
    ],
    ids=[
        "object name", "object", "list", "dict", "list name", "bytearray", "memoryview", "function",
        "tuple with object",
        "builtin", "str", "bytes name", "none", "int", "float", "nothing", "one", "three",
    ],
)  # fmt: skip
def test_arguments_that_are_no_plain_values(agent: AgentProcess, arguments: tuple[Any, ...]) -> None:
    with hostile(agent) as connection:
        with pytest.raises(Exception, match=r"values only|exactly these types|nothing but call"):
            connection.root.call(*arguments)
        assert json.loads(connection.root.call("hello", codec.encode(Request("me", {}))))["ok"]
    agent.is_alive()


def test_the_agent_never_calls_back(agent: AgentProcess) -> None:
    touched = []

    class Trap:
        def __getattribute__(self, name: str) -> Any:
            touched.append(name)
            return object.__getattribute__(self, name)

    trap = Trap()
    get_id_pack(trap)
    boxing = set(touched)
    """What RPyC looks at on this side, to make a reference of it."""
    with hostile(agent) as connection:
        for target in ((trap, b""), ("hello", trap), ("hello", (trap, trap))):
            touched.clear()
            with pytest.raises(Exception, match="values only"):
                connection.root.call(*target)
            assert set(touched) <= boxing
    agent.is_alive()


def test_a_keyword_argument_is_refused(agent: AgentProcess) -> None:
    with hostile(agent) as connection, pytest.raises(Exception, match="nothing but call"):
        connection.root.call("hello", payload=b"{}")
    agent.is_alive()


@pytest.mark.parametrize(
    "name",
    [
        "__class__", "__init__", "__dict__", "__globals__", "__func__", "__self__", "__reduce__", "_dispatch", "bound",
        "exposed_call", "exposed_get_service_name", "get_service_name", "on_connect", "_rpyc_getattr", "__doc__", "",
        "call.__globals__", "__call__",
    ],
)  # fmt: skip
def test_there_is_nothing_but_the_one_method(agent: AgentProcess, name: str) -> None:
    with hostile(agent) as connection:
        root = connection.root
        with pytest.raises(Exception, match="nothing but call"):
            connection.sync_request(consts.HANDLE_GETATTR, root, name)
        call = root.call
        with pytest.raises(Exception, match="nothing but call"):
            connection.sync_request(consts.HANDLE_GETATTR, call, name)
    agent.is_alive()


HANDLERS: dict[str, Callable[[Connection], Any]] = {
    "setattr": lambda c: c.sync_request(consts.HANDLE_SETATTR, c.root, "call", 1),
    "delattr": lambda c: c.sync_request(consts.HANDLE_DELATTR, c.root, "call"),
    "repr": lambda c: c.sync_request(consts.HANDLE_REPR, c.root),
    "str": lambda c: c.sync_request(consts.HANDLE_STR, c.root),
    "dir": lambda c: c.sync_request(consts.HANDLE_DIR, c.root),
    "hash": lambda c: c.sync_request(consts.HANDLE_HASH, c.root),
    "cmp": lambda c: c.sync_request(consts.HANDLE_CMP, c.root, c.root, "__eq__"),
    "pickle": lambda c: c.sync_request(consts.HANDLE_PICKLE, c.root, 2),
    "buffiter": lambda c: c.sync_request(consts.HANDLE_BUFFITER, c.root, 2**31),
    "ctxexit": lambda c: c.sync_request(consts.HANDLE_CTXEXIT, c.root, None),
    "slicing": lambda c: c.sync_request(consts.HANDLE_OLDSLICING, c.root, "__init__", "__init__", 0, 1, ()),
    "instancecheck": lambda c: c.sync_request(consts.HANDLE_INSTANCECHECK, c.root, ("builtins.object", 1, 0)),
    "ping": lambda c: c.sync_request(consts.HANDLE_PING, "x" * 500_000),
    "no such handler": lambda c: c.sync_request(99, c.root),
    "handler of another type": lambda c: c.sync_request("call", c.root),
    "call of the root": lambda c: c.sync_request(consts.HANDLE_CALL, c.root, ("hello", b"{}")),
    "callattr": lambda c: c.sync_request(consts.HANDLE_CALLATTR, c.root, "__init__", ()),
    "inspect of nothing": lambda c: c.sync_request(consts.HANDLE_INSPECT, ("x", 1, 2)),
    "del of nothing": lambda c: c.sync_request(consts.HANDLE_DEL, 5, 2**40),
}


@pytest.mark.parametrize("handler", HANDLERS)
def test_rpycs_other_requests_are_refused(agent: AgentProcess, handler: str) -> None:
    with hostile(agent) as connection:
        with pytest.raises(Exception) as refusal:
            HANDLERS[handler](connection)
        text = str(refusal.value)
        assert "Traceback" not in text or "denied" in text
        assert "/agent_wsl/" not in text
        assert json.loads(connection.root.call("hello", codec.encode(Request("me", {}))))["ok"]
    agent.is_alive()


def test_a_reference_that_was_never_handed_out(agent: AgentProcess) -> None:
    with agent.raw() as sock:
        forged = (consts.LABEL_LOCAL_REF, ("agent_wsl.service.Dispatcher", 1, 140_000_000_000_000))
        sock.sendall(frame(request(consts.HANDLE_CALL, forged, (consts.LABEL_TUPLE, ()))))
        sock.settimeout(3)
        assert b"KeyError" in sock.recv(65536)
    agent.is_alive()


def test_handing_out_the_method_a_hundred_thousand_times_costs_no_memory(agent: AgentProcess) -> None:
    with hostile(agent) as connection:
        root = connection.root
        before = memory(agent)
        kept = [connection.async_request(consts.HANDLE_GETATTR, root, "call") for _ in range(20_000)]
        assert kept[-1].value
        assert memory(agent) - before < 4 << 20
    agent.is_alive()


@pytest.mark.parametrize(
    ("name", "payload", "code"),
    [
        ("nonsense", b"{}", "bad_request"),
        ("__class__", b"{}", "bad_request"),
        ("x" * 100_000, b"{}", "bad_request"),
        ("hello", b"", "bad_request"),
        ("hello", b"\xff", "bad_request"),
        ("hello", b"[]", "bad_request"),
        ("hello", b'{"user":"","args":{}}', "bad_request"),
        ("hello", b'{"user":"a b","args":{}}', "bad_request"),
        ("hello", b'{"user":"a\\n{}","args":{}}', "bad_request"),
        ("hello", b'{"user":1,"args":{}}', "bad_request"),
        ("hello", b'{"user":"a","args":{"version":2}}', "version_mismatch"),
        ("hello", b'{"user":"a","args":{"version":2,"new_field":1}}', "version_mismatch"),
        ("read_file", b'{"user":"a","args":{"path":["a"]}}', "bad_request"),
        ("read_file", b'{"user":"a","args":{}}', "bad_request"),
        ("run", b'{"user":"a","args":{"argv":["ls"],"approved":true}}', "bad_request"),
        ("changes", b'{"user":"a","args":{"wait_s":1' + b"0" * 400 + b"}}", "bad_request"),
    ],
)
def test_wrong_calls_are_answered_with_their_error(agent: AgentProcess, name: str, payload: bytes, code: str) -> None:
    with hostile(agent) as connection:
        answer = connection.root.call(name, payload)
    error = json.loads(answer)["error"]
    assert error["code"] == code
    assert len(error["message"]) < 500
    assert "Traceback" not in error["message"]
    agent.is_alive()


# --- peers that leave -----------------------------------------------------------------------------------------------

VANISHING = {
    "hello": Hello(), "read_file": ReadFile("large.txt"), "list_dir": ListDir("."), "search": Search("x"),
    "changes": Changes("", 20.0), "run": Run(argv=("ls",)), "job_status": GetJob("none", 20.0),
    "job_output": JobOutput("none", 0, 20.0),
}  # fmt: skip


@pytest.mark.parametrize("name", [*CALLS])
@pytest.mark.parametrize("reset", [False, True], ids=["closes", "resets"])
def test_a_client_that_vanishes_during_a_call(agent: AgentProcess, name: str, reset: bool) -> None:
    call = VANISHING.get(name) or default_call(name)
    (agent.root / "large.txt").write_text(("x" * 99 + "\n") * 5000, encoding="utf-8")
    with hostile(agent) as connection:
        remote = rpyc.async_(connection.root.call)
        fields = {field: getattr(call, field) for field in type(call).__dataclass_fields__ if field.islower()}
        remote(name, codec.encode(Request("me", fields)))
        sock = connection._channel.stream.sock
        if reset:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    agent.is_alive()


def default_call(name: str) -> Any:
    kind = CALLS[name]
    needed = {"watch_add": {"path": "."}, "watch_remove": {"path": "."}, "job_kill": {"job_id": "none"}}
    return kind(**needed.get(name, {}))


def test_more_connections_than_are_taken_are_told_so(tmp_path: Path) -> None:
    with running(tmp_path, AGENT_CONNECTIONS="3") as agent:
        clients = [agent.connect() for _ in range(3)]
        with pytest.raises(Unreachable, match="all the connections"):
            agent.connect()
        clients.pop().close()
        time.sleep(0.2)
        clients.append(agent.connect())
        for client in clients:
            assert client.call("me", Hello()).version == 1
            client.close()


def memory(agent: AgentProcess) -> int:
    """Bytes of the agent's resident set."""
    text = Path(f"/proc/{agent.process.pid}/statm").read_text(encoding="ascii")
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")
