"""Java and its kin at run time: stack traces with causes, crashes of the machine."""

from __future__ import annotations

import re

from bot.sentinel.block import Block, Draft, Grammar, RawFrame, Reading, number

_HEAD = re.compile(
    r'(?:^|.*[\s:(\[])(?:Exception in thread "[^"]{0,200}" )?((?:[a-z_]\w*\.)+(?:[A-Z$]\w*[.$])*[A-Z]\w*)(?:: (.*))?$'
)
_THREAD = re.compile(r'Exception in thread "[^"]{0,200}" ([\w.$]+)(?:: (.*))?$')
FRAME = re.compile(
    r"\s+at (?:[\w.@-]*(?:/[\w.@-]*)*/)?([\w.$<>]+)\.([\w$<>-]+)\(([\w$]+\.(?:java|kt|scala|groovy|clj)|"
    r"Native Method|Unknown Source)(?::(\d+))?\)"
)
_CAUSE = re.compile(r"\s*Caused by: ([\w.$]+)(?:: (.*))?$")
_MORE = re.compile(r"\s+(?:\.\.\. \d+ (?:more|common frames)|Suppressed: |at )|\s*Caused by: |\s+\[CIRCULAR")
_LIBRARIES = re.compile(
    r"(?:java|javax|jdk|sun|com\.sun|kotlin|kotlinx|scala|groovy|clojure|akka|android|androidx|dalvik"
    r"|org\.(?:junit|springframework|apache|hibernate|gradle|eclipse|mockito|hamcrest|testng|opentest4j|"
    r"slf4j|postgresql|jetbrains|assertj|jboss|codehaus|aspectj)"
    r"|com\.(?:google|fasterxml|mysql|zaxxer|intellij|netflix|amazonaws|android)"
    r"|io\.(?:netty|micrometer|reactivex|grpc|ktor|quarkus|vertx)|reactor|ch\.qos|lombok|okhttp3|"
    r"retrofit2|net\.bytebuddy|worker\.org\.gradle)\."
)
_CRASH = "# A fatal error has been detected by the Java Runtime Environment:"


class Trace(Block):
    patience = 10

    def follows(self, line: str) -> bool:
        if FRAME.match(line):
            self.sure = True
            return True
        if self.sure:
            return bool(_MORE.match(line))
        return not line.startswith("Traceback") and not (_THREAD.match(line) or re.match(r"\[ERROR\].*<<< ", line))

    def close(self) -> Reading:
        first = next((i for i, line in enumerate(self.lines) if FRAME.match(line)), None)
        if first is None:
            found = _THREAD.match(self.lines[0])
            if not found:
                return Reading()
            return Reading([Draft("java", found[1], found[2] or "", (), (self.lines[0],))], self.lines[1:])
        before = reversed(self.lines[:first])
        head = next((f for line in before if (f := _THREAD.match(line) or _HEAD.match(line))), None)
        if head is None:
            return Reading()
        causes = [f for f in map(_CAUSE.match, self.lines[first:]) if f]
        message = head[2] or ""
        if causes:
            message += f" (caused by {causes[-1][1]}{': ' + causes[-1][2] if causes[-1][2] else ''})"
        frames = tuple(_frame(f) for f in map(FRAME.match, self.lines[first:]) if f and f[4])
        return Reading([Draft("java", head[1], message.strip(), frames, tuple(self.lines))])


def _frame(found: re.Match[str]) -> RawFrame:
    foreign = _LIBRARIES.match(found[1] + ".") is not None
    return RawFrame(found[3], number(found[4]), function=f"{found[1]}.{found[2]}", foreign=foreign)


class Crash(Block):
    def follows(self, line: str) -> bool:
        return line.startswith("#")

    def close(self) -> Reading:
        signal = next((f for f in (re.match(r"#\s+(\w+) \((.*)", line) for line in self.lines[1:]) if f), None)
        kind, message = (signal[1], "(" + signal[2]) if signal else ("fatal error", self.lines[0].strip("# "))
        return Reading([Draft("java", kind, message, (), tuple(self.lines))])


class Launch(Block):
    """The launcher's own words, with the exception behind them."""

    def follows(self, line: str) -> bool:
        return line.startswith("Caused by: ")

    def close(self) -> Reading:
        cause = _CAUSE.match(self.lines[-1])
        message = self.lines[0].removeprefix("Error: ")
        return Reading([Draft("java", cause[1] if cause else "Error", message, (), tuple(self.lines))])


def _open(line: str, _before: str) -> Block | None:
    if line.startswith(_CRASH):
        return Crash(line)
    if re.match(
        r"Error: (?:Could not find or load main class|Unable to (?:access|initialize)|Main method not) ?", line
    ):
        return Launch(line)
    if line.lstrip()[:2] in ("at", "//", "* ", "*/") or line.startswith(("+", "-", "import ")):
        return None
    return Trace(line) if len(line) < 2000 and (_HEAD.match(line) or _THREAD.match(line)) else None


GRAMMAR = Grammar("java", ("Exception", "Error", "Throwable", _CRASH, "Failure"), _open)
