"""A model's wish to call a tool, checked against what it was offered. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from bot.events import Tool, ToolCall

LONGEST_REASON = 300
"""Characters of a problem: it is told to a model with little context."""


def read_call(call_id: str, name: str, arguments: str, tools: Sequence[Tool]) -> ToolCall:
    """What is wrong with it is in `problem`, in words for the model."""
    try:
        parsed = json.loads(arguments or "{}")
    except ValueError as error:
        return ToolCall(call_id, name, {}, f"The arguments of {name} are no JSON ({error}).")
    if not isinstance(parsed, dict):
        return ToolCall(call_id, name, {}, f"The arguments of {name} must be a JSON object.")
    return ToolCall(call_id, name, parsed, problem(name, parsed, tools))


def problem(name: str, arguments: dict[str, Any], tools: Sequence[Tool]) -> str:
    """Why this cannot be called; empty when it can."""
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        return f"There is no tool {name!r}. There are: {', '.join(tool.name for tool in tools) or 'none'}."
    error = next(iter(_validator()(tool.parameters).iter_errors(arguments)), None)
    if error is None:
        return ""
    where = ".".join(map(str, error.absolute_path))
    return f"The arguments of {name} are wrong{f' at {where}' if where else ''}: {error.message}."[:LONGEST_REASON]


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator
