"""Text as the model wrote it -> text as it is to be said. Pure; plain prose comes out as it went in."""
# ruff: noqa: RUF001  dashes and signs that look like others are what this file is about

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def _rules(*pairs: tuple[str, str | Callable[[re.Match[str]], str]], flags: int = 0) -> Sequence[Rule]:
    return [(re.compile(pattern, flags), said) for pattern, said in pairs]


def _apply(rules: Sequence[Rule], text: str) -> str:
    for pattern, said in rules:
        text = pattern.sub(said, text)
    return text


MARKDOWN = _rules(
    (r"^[ \t]*(?:```|~~~).*$", ""),
    (r"^[ \t]*(?:[-*_][ \t]*){3,}$", ""),  # a line across the page
    (r"^[ \t]*\|?(?:[ \t]*:?-{2,}:?[ \t]*\|)+[ \t:|-]*$", ""),  # the line under a table's head
    (r"^[ \t]*\|(.+)\|[ \t]*$", lambda m: ", ".join(c.strip() for c in m[1].split("|") if c.strip()) + "."),
    (r"^[ \t]*(?:>[ \t]?)+", ""),
    (r"^[ \t]*#{1,6}\s+(.*?)\s*#*[ \t]*$", lambda m: _closed(m[1])),
    (r"^[ \t]*[-*+•]\s+(?:\[[ xX]\]\s+)?(.*)$", lambda m: _closed(m[1])),
    (r"^[ \t]*(\d{1,2})[.)]\s+(.*)$", lambda m: f"{m[1]}: {_closed(m[2])}"),
    (r"!?\[([^\]]*)\]\([^)\s]*(?:\s+\"[^\"]*\")?\)", r"\1"),
    (r"<(https?://[^>\s]+)>", r"\1"),
    (r"</?(?:br|b|i|em|strong|p|sub|sup|code|kbd|details|summary|a|ul|ol|li)\b[^>]*>", " "),
    flags=re.MULTILINE,
)
EMPHASIS = _rules(
    (r"\*{2,}|~~|(?<!\w)__(?=\w)(?!\w+__(?:\W|$))|(?<=[^\W_])__(?!\w)", ""),  # __init__ stays
    (r"(?<![\w*])\*(?=\S)([^*]+?)(?<=\S)\*(?![\w*])", r"\1"),
    (r"(?<!\w)_(?=\S)([^_]+?)(?<=\S)_(?!\w)", r"\1"),
)
LETTERS = {"CUDA": "Kooda", "TOML": "Tom L", "ASCII": "Askey", "CRUD": "crud"}
WORDS = _rules(
    (r"\be\.g\.,?", "for example,"),
    (r"\bi\.e\.,?", "that is,"),
    (r"\betc\.(?=\s+[a-z]|,)", "et cetera"),
    (r"\betc\.", "et cetera."),
    (r"\bvs\.?(?=\s)", "versus"),
    (r"\bw/o\b", "without"),
    (r"\bw/(?=\s)", "with"),
    (r"\bI/O\b", "I O"),
    (r"\bC\+\+", "C plus plus"),
    (r"\b([CF])#", r"\1 sharp"),
    (r"(?<!\w)\.NET\b", "dot net"),
    (r"\bCI/CD\b", "C I C D"),
    (r"\bNode\.js\b", "Node J S"),
    (r"\b(?i:postgresql)\b", "Postgres"),
    (r"\bMySQL\b", "My S Q L"),
    (r"\bSQLite\b", "S Q Lite"),
    (r"\bPyPI\b", "Pie P I"),
    (r"\b(?i:nginx)\b", "engine X"),
    (r"\b(?i:pytest)\b", "pie test"),
    (r"\b(?i:numpy)\b", "num pie"),
    (r"\bPyTorch\b", "Pie Torch"),
    (r"\bkubectl\b", "kube control"),
    (r"\b(?i:localhost)\b", "local host"),
    (r"\bstderr\b", "standard error"),
    (r"\bstdout\b", "standard output"),
    (r"\bstdin\b", "standard input"),
    (r"\b(?i:async)\b", "a-sync"),
    (r"\b(?i:regex)(es)?\b", r"reg-ex\1"),
    (r"\b([a-z]+)\(s\)", r"\1s"),
    (r"\benum(s?)\b", r"ee-num\1"),
    (r"\bkwargs\b", "keyword args"),
    (r"\bvenv\b", "V env"),
    (r"\b(CLI|IDE|GUI|CUDA|TOML|ASCII|ORM|SSD|SSH|CRUD)\b", lambda m: LETTERS.get(m[1], " ".join(m[1]))),
)
UNITS = {
    "ns": "nanosecond", "µs": "microsecond", "us": "microsecond", "ms": "millisecond", "s": "second", "min": "minute",
    "h": "hour", "B": "byte", "KB": "kilobyte", "kB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte", "px": "pixel", "km": "kilometre", "cm": "centimetre",
    "mm": "millimetre", "kg": "kilogram",
}  # fmt: skip
RATES = {"Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz", "fps": "frames per second"}
_UNIT = "|".join(sorted({*UNITS, *RATES}, key=len, reverse=True))
NUMBERS = _rules(
    (r"\b(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\b", r"\1 dot \2 dot \3 dot \4"),
    (r"\b[vV](?=\d+\.\d)", "version "),
    (r"\b(\d+)\.(\d+)\.(\d+)\b", r"\1 point \2 point \3"),
    (r"(?i)\b(python|version|cuda|release)\s(\d+)\.(\d+)\b", r"\1 \2 point \3"),
    (rf"(?<![\w.])(\d[\d,]*(?:\.\d+)?)\s?({_UNIT})(?![\w/])", lambda m: f"{m[1]} {_unit(m[1], m[2])}"),
    (r"(\d)\s?°\s?C\b", r"\1 degrees Celsius"),
    (r"(\d)\s?°(?:\s?F\b)?", r"\1 degrees"),
    (r"(?<=\d)\s[*×]\s(?=\d)", " times "),
    (r"[$]\s?(\d[\d,]*(?:\.\d+)?)", r"\1 dollars"),
    (r"€\s?(\d[\d,]*(?:\.\d+)?)", r"\1 euros"),
    (r"(?<!\w)~\s?(?=\d)", "about "),
    (r"(?<![\w#])#(?=\d)", "number "),
    (r"\b0x([0-9A-Fa-f]+)\b", lambda m: "hex " + " ".join(m[1])),
    (r"\b(\d+)x(?!\w)", r"\1 times"),
    (r"(?<![\w-])(\d+)\s?[-–]\s?(\d+)(?![\w-])", r"\1 to \2"),
)
OPERATORS = {
    "===": "triple equals", "!==": "not equal to", "==": "double equals", "!=": "not equal to", "<=": "at most",
    ">=": "at least", "->": "to", "=>": "to", "→": "to", "⇒": "to", "←": "from", "&&": "and", "||": "or",
    "+=": "plus equals", "-=": "minus equals", "**": "to the power of", "//": "slash slash", "=": "equals", "+": "plus",
    "<": "less than", ">": "greater than", "*": "star", "&": "and", "|": "pipe", "%": "modulo", "≤": "at most",
    "≥": "at least", "≠": "not equal to", "≈": "about", "×": "times", "$": "dollar", "@": "at", "^": "caret",
    "~": "tilde", "\\": "backslash", "#": "hash",
}  # fmt: skip
_OPERATOR = re.compile("|".join(re.escape(o) for o in sorted(OPERATORS, key=len, reverse=True)))
_LONE_OPERATOR = re.compile(rf"(?<!\S)(?:{_OPERATOR.pattern})(?!\S)")
SPELLED = "sh|js|ts|tsx|jsx|md|rs|cpp|hpp|cs|h|c|yml|html|css|xml|csv|db|txt"
"""Endings of file names that are said letter by letter."""
CODE = _rules(
    (r"\.(\w+):(\d+)\b", r".\1 line \2"),
    (rf"(?<=\w)\.({SPELLED})\b", lambda m: " dot " + " ".join(m[1].upper())),
    (r"(?:^|(?<=[\s(,]))\*\*(?=[A-Za-z])", "star star "),
    (r":(\d{4,5})\b", r" port \1"),
    (r"(?<=\d)%", " percent "),
    (r"(?<![\w)])!(?=\w)", "not "),
    (r"(?<!\w)--(?=\w)", " "),
    (r"(?<![\w-])-(?=[A-Za-z])", " dash "),
    (r"^\./|(?<=\s)\./", " dot slash "),
    (r"^~/|(?<=\s)~/", " home slash "),
    (r"(?<!\d)\.(?=\w)|(?<=\d)\.(?=[A-Za-z_])", " dot "),
    (r"(?<![/:])/(?!/)", " slash "),
    (r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+", " "),
    (r"(?<=[A-Za-z])-(?=[A-Za-z])", " "),
    (r"[\[\](){}\"'`]", " "),
    (r"[:;]+(?=\S)", " "),
)
URL = re.compile(r"\bhttps?://(?:www\.)?([\w.-]*\w)(:\d+)?(?:[/?#](?:[^\s)\]>]*[^\s)\]>.,;:!?])?)?")
CALL = re.compile(r"(?<![\w`])[A-Za-z_][\w.]*\([^()\n]*\)")
SPAN = re.compile(r"`+([^`]+)`+")
TOKEN = re.compile(r"([(\[{\"'“‘]*)(\S+?)([)\]}\"'”’.,;:!?…]*)(?=\s|$)")
KEEP = frozenset(
    ["JavaScript", "TypeScript", "GitHub", "GitLab", "YouTube", "PowerShell", "macOS", "iOS", "WhatsApp", "DevOps"]
)
CODE_LIKE = re.compile(
    r"\w+_\w|__\w+|[A-Za-z]:\\\S+|--?[A-Za-z][\w-]*(?:=\S+)?$|[~.]?/\S*\w|\S+/\S+/\S+|\S+/\S*\.\w+(?::\d+)?$|[a-z]+\d*[A-Z]\w*$|(?:[A-Z][a-z0-9]+){2,}$"
    r"|(?!(?:\w\.)+\w?$)[\w@-]+(?:\.[a-z_][\w-]*)+(?::\d+)?$|\.[a-z]\w+$|[\w .]+:\d{4,5}$|\S+@\S+\.\w+"
)


def speakable(text: str) -> str:
    """`text` is a piece of an answer, outside code blocks. Empty when nothing of it is to be said."""
    text = text.replace("’", "'").replace("\u00a0", " ")
    text = _apply(MARKDOWN, text)
    text = URL.sub(lambda m: _code(m[1] + (m[2] or "")), text)
    # Odd parts are inline code: it is read symbol by symbol and no markdown is looked for in it.
    parts = SPAN.split(text)
    said = [_code(part) if i % 2 else _prose(part) for i, part in enumerate(parts)]
    return _tidy("".join(said))


def _prose(text: str) -> str:
    text = _apply(NUMBERS, _apply(WORDS, _apply(EMPHASIS, text.replace("`", ""))))
    text = _LONE_OPERATOR.sub(lambda m: OPERATORS[m[0]], text)
    text = CALL.sub(lambda m: _code(m[0]), text)
    text = TOKEN.sub(_token, text)
    return re.sub(r"(?<=[A-Za-z])/(?=[A-Za-z])", " ", text)


def _token(match: re.Match[str]) -> str:
    before, core, after = match.groups()
    if core in KEEP or not CODE_LIKE.match(core):
        return match[0]
    return before + _code(core) + after


def _code(text: str) -> str:
    text = _apply(NUMBERS, _apply(WORDS, text.strip()))
    text = _apply(CODE, text)
    return " ".join(_OPERATOR.sub(lambda m: f" {OPERATORS[m[0]]} ", text).split())


def _unit(number: str, unit: str) -> str:
    return RATES.get(unit) or UNITS[unit] + ("" if number == "1" else "s")


def _closed(line: str) -> str:
    """A heading or list item ends like a sentence, else it would run into the next."""
    line = line.strip()
    return line if not line or line[-1] in ".,;:!?…" else f"{line}."


def _tidy(text: str) -> str:
    """Drops emoji and other pictures, then spaces that nobody needs."""
    text = "".join(c for c in text if unicodedata.category(c) not in ("So", "Sk", "Cs", "Co", "Cf", "Mn") or c == "^")
    text = re.sub(r"\s+([.,;:!?…)])", r"\1", " ".join(text.split()))
    return re.sub(r"\(\s*\)", "", text).strip()
