"""py-cord's bridge commands, with the types that it leaves out. Imports py-cord."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from discord.ext import bridge

F = TypeVar("F")
Context = bridge.BridgeExtContext | bridge.BridgeApplicationContext

command = cast("Callable[..., Callable[[F], F]]", bridge.bridge_command)
option = cast("Callable[..., Callable[[F], F]]", bridge.bridge_option)
