"""What `!help` shows: the commands in groups, one line each. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GROUPS = {
    "Talk with me": "direct stop mute unmute say voice mic captions latency",
    "Ask me": "ask debug model history clear",
    "Run commands": "run jobs kill",
    "Look into files": "read find watch unwatch watches changes",
    "About me": "status help",
}
"""Names in the order in which they are needed; those that there are not are left out."""
REST = "More"
FOOT = (
    "Each works with `/` as well. To go on with a conversation, reply to me or mention me; a thread is a conversation "
    "of its own. Text files can be attached to a question."
)


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    usage: str
    """What comes after the name; empty for nothing."""
    description: str


def overview(lines: Sequence[Line], prefix: str) -> str:
    known = {line.name: line for line in lines}
    groups = {title: names.split() for title, names in GROUPS.items()}
    groups[REST] = sorted(known.keys() - {name for names in groups.values() for name in names})
    parts = []
    for title, names in groups.items():
        shown = [known[name] for name in names if name in known]
        if shown:
            each = [f"`{prefix}{line.name}{' ' * bool(line.usage)}{line.usage}` {line.description}" for line in shown]
            parts.append("\n".join([f"**{title}**", *each]))
    return "\n\n".join([*parts, FOOT])
