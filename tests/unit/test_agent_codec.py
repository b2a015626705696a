"""The wire's JSON: whatever is not declared is refused, by name."""

import pytest

from agent_wsl import codec, protocol
from agent_wsl.envelope import ErrorCode, Reply, Request, WireError


def test_every_call_survives_the_way_there_and_back() -> None:
    calls = [
        protocol.Hello(), protocol.ReadFile("a", 3, 4), protocol.ListDir("."), protocol.Search("x", glob="*.py"),
        protocol.WatchAdd("a"), protocol.WatchRemove("a"), protocol.Watches(), protocol.Changes("", 1.5),
        protocol.Run(argv=("a", "b c"), timeout_s=2), protocol.Run(shell="a | b"),
        protocol.GetJob("1"),
        protocol.JobOutput("1", 5), protocol.JobKill("1"), protocol.Jobs(), protocol.Selftest(),
    ]  # fmt: skip
    assert {call.NAME for call in calls} == set(protocol.CALLS)
    for call in calls:
        assert codec.decode(type(call), codec.encode(call)) == call


def test_nested_results_and_odd_file_names() -> None:
    listing = protocol.Listing("/x", (protocol.Entry("caf\udce9", "file", 1, 2.0),), 0)
    assert codec.decode(protocol.Listing, codec.encode(listing)) == listing
    reply = Reply(error=WireError(ErrorCode.BUSY, "later", 2.5))
    assert codec.decode(Reply, codec.encode(reply)) == reply


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"1" * 10_000, "no JSON"),
        (b"[]", "must be an object"),
        (b"{}", "needs the field 'path'"),
        (b'{"path": 1}', "must be of type str"),
        (b'{"path": null}', "must be of type str"),
        (b'{"path": {"a": 1}}', "must be of type str"),
        (b'{"path": ""}', "1 to 4096"),
        (b'{"path": "%s"}' % (b"x" * 4097), "1 to 4096"),
        (b'{"path": "a", "offset": true}', "must be of type int"),
        (b'{"path": "a", "offset": 1.0}', "must be of type int"),
        (b'{"path": "a", "offset": -1}', "must be from 0"),
        (b'{"path": "a", "limit": 1e999}', "must be of type int"),
        (b'{"path": "a", "limit": NaN}', "no JSON"),
        (b'{"path": "a", "limit": 100001}', "must be from 1"),
        (b'{"path": "a", "__class__": "x"}', "has no field '__class__'"),
        (b'{"path": "a", "NAME": "x"}', "has no field 'NAME'"),
    ],
)
def test_refusals(payload: bytes, says: str) -> None:
    with pytest.raises(codec.InvalidMessage) as refusal:
        codec.decode(protocol.ReadFile, payload)
    assert says in str(refusal.value)


def test_lists_and_choices() -> None:
    for argv in ([], ["a", 1], "ab", {"0": "a"}, ["x"] * 1025):
        with pytest.raises(codec.InvalidMessage, match="argv"):
            codec.build(protocol.Run, {"argv": argv})
    with pytest.raises(codec.InvalidMessage, match="must be one of"):
        codec.build(WireError, {"code": "nonsense", "message": ""})
    assert codec.build(Request, {"user": "1", "args": {"a": [1]}}).args == {"a": [1]}
