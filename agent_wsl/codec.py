"""JSON to frozen dataclasses and back, strictly: what is not declared is refused. Standard library only."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class InvalidMessage(ValueError):
    """The sentence names the field and what is allowed there."""


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Size:
    most: int
    """Characters of a string, elements of a list."""
    least: int = 0


def encode(message: object) -> bytes:
    """UTF-8 JSON of a dataclass. Half characters in file names (surrogates) travel as they are, escaped."""
    return json.dumps(message, default=_plain, separators=(",", ":")).encode("ascii")


def decode(cls: type[T], payload: bytes) -> T:
    """Raises InvalidMessage."""
    try:
        value = json.loads(payload, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise InvalidMessage(f"this is no JSON: {error}.") from None
    return build(cls, value)


def build(cls: type[T], value: object) -> T:
    """A dataclass out of decoded JSON. Raises InvalidMessage."""
    result: T = _convert(cls, value, cls.__name__)
    return result


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"{type(value).__name__} does not go over the wire")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


@cache
def _hints(cls: Any) -> Mapping[str, Any]:
    """The types of the fields alone."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls)}


def _convert(kind: Any, value: object, where: str) -> Any:
    origin = get_origin(kind)
    if origin is Annotated:
        return _limited(get_args(kind), value, where)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in get_args(kind):
            return None
        return _convert(next(a for a in get_args(kind) if a is not type(None)), value, where)
    if origin is tuple:
        if type(value) is not list:
            raise InvalidMessage(f"{where} must be a list.")
        return tuple(_convert(get_args(kind)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(kind):
        return _fields(kind, value, where)
    return _scalar(kind, value, where)


def _scalar(kind: Any, value: object, where: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        if type(value) is not str or value not in set(kind):
            raise InvalidMessage(f"{where} must be one of {', '.join(kind)}.")
        return kind(value)
    if kind is float and type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise InvalidMessage(f"{where} is too large.") from None
    wanted = get_origin(kind) or kind
    if type(value) is not wanted:
        raise InvalidMessage(f"{where} must be of type {wanted.__name__}, not {type(value).__name__}.")
    return value


def _limited(annotated: tuple[Any, ...], value: object, where: str) -> Any:
    base, *limits = annotated
    converted = _convert(base, value, where)
    for limit in limits:
        _check(limit, converted, where)
    return converted


def _fields(kind: Any, value: object, where: str) -> Any:
    if type(value) is not dict:
        raise InvalidMessage(f"{where} must be an object.")
    hints = _hints(kind)
    unknown = set(value) - set(hints)
    if unknown:
        raise InvalidMessage(f"{where} has no field {min(unknown)[:40]!r}; it has {', '.join(hints) or 'none'}.")
    fields = dataclasses.fields(kind)
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    absent = [name for name in required if name not in value]
    if absent:
        raise InvalidMessage(f"{where} needs the field {absent[0]!r}.")
    return kind(**{name: _convert(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def _check(limit: object, value: Any, where: str) -> None:
    if isinstance(limit, Range) and value is not None and not limit.low <= value <= limit.high:
        raise InvalidMessage(f"{where} must be from {limit.low:g} to {limit.high:g}.")
    if isinstance(limit, Size) and value is not None and not limit.least <= len(value) <= limit.most:
        raise InvalidMessage(f"{where} must have {limit.least} to {limit.most} elements or characters.")
