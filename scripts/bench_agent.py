"""How fast the tool agent is: each row is measured on a real agent that this script starts, in one run.

Needs the agent's packages (requirements-wsl.txt) and Linux. A row that cannot be measured here says why.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench_common import machine, percentile, write_json  # noqa: E402

from agent_wsl import protocol  # noqa: E402
from agent_wsl.client import AgentConnection, connect  # noqa: E402
from agent_wsl.errors import AgentFailure  # noqa: E402
from agent_wsl.sandbox.bwrap import candidates  # noqa: E402

PACKAGES = ("rpyc", "watchdog", "limits", "google-re2")
MIB = 1 << 20
PRODUCED = 256 * MIB
CLIENTS = 50
WRITER = "import time,sys\nfor _ in range(int(sys.argv[1])):\n print(time.time_ns(), flush=True); time.sleep(0.02)\n"
Row = dict[str, Any]


@dataclass(frozen=True)
class Running:
    root: Path
    pid: int
    port: int
    key: str

    def connect(self) -> AgentConnection:
        return connect("127.0.0.1", self.port, self.key)


@contextmanager
def agent(folder: Path, **settings: str) -> Iterator[Running]:
    root, key = folder / "project", secrets.token_hex(16)
    root.mkdir(exist_ok=True)
    values = {
        "API_KEY": key,
        "ALLOWED_DIRECTORIES": str(root),
        "AGENT_STATE_DIR": str(folder / "state"),
        "RATE_LIMIT_PER_MINUTE": "1000000",
        "ALLOWED_COMMANDS": "true, head, python3, /usr/bin/python3",
        "AGENT_BIND": "127.0.0.1",
        "WATCH_DIRECTORIES": "",
        "AGENT_CONNECTIONS": "100",
        **settings,
    }
    command = [sys.executable, "-P", "-m", "agent_wsl", "--port", "0"]
    environment = {**os.environ, **values, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        found = re.match(r"Listening on \S+:(\d+)", line)
        if not found:
            sys.exit("The agent did not start; its own sentence stands above.")
        print(line.rstrip(), file=sys.stderr)
        yield Running(root, process.pid, int(found[1]), key)
    finally:
        process.terminate()
        process.wait(10)


def timed(times: int, function: Callable[[], object]) -> list[float]:
    """Milliseconds of each call, after one that does not count."""
    function()
    values = []
    for _ in range(times):
        started = time.perf_counter()
        function()
        values.append((time.perf_counter() - started) * 1000)
    return values


def spread(name: str, values: list[float], unit: str = "ms", note: str = "") -> Row:
    p50, p95, p99 = (round(percentile(values, share), 3) for share in (0.5, 0.95, 0.99))
    return {"row": name, "n": len(values), "p50": p50, "p95": p95, "p99": p99, "unit": unit, "note": note}


def single(name: str, value: float, unit: str, note: str = "") -> Row:
    return {"row": name, "n": 1, "p50": round(value, 2), "p95": None, "p99": None, "unit": unit, "note": note}


def reading(running: Running, client: AgentConnection, times: int) -> Iterator[Row]:
    (running.root / "small.txt").write_text(("x" * 63 + "\n") * 16, encoding="utf-8")
    (running.root / "large.txt").write_text(("x" * 63 + "\n") * (MIB // 64), encoding="utf-8")
    yield spread("hello", timed(times, lambda: client.call("bench", protocol.Hello())))
    yield spread("read_file, 1 KiB", timed(times, lambda: client.call("bench", protocol.ReadFile("small.txt"))))
    whole = protocol.ReadFile("large.txt", limit=100_000)
    if len(client.call("bench", whole).text) != MIB:
        sys.exit("read_file did not give back the whole file.")
    yield spread("read_file, 1 MiB", timed(max(20, times // 20), lambda: client.call("bench", whole)))


def output_delay(client: AgentConnection, times: int) -> Row:
    """The command stamps each line with the clock that the reader looks at."""
    job = client.call("bench", protocol.Run(argv=("/usr/bin/python3", "-c", WRITER, str(times))))
    delays, offset, rest = [], 0, b""
    while True:
        chunk = client.call("bench", protocol.JobOutput(job.job_id, offset, 20.0))
        now = time.time_ns()
        offset = chunk.next_offset
        *lines, rest = (rest + base64.b64decode(chunk.data)).split(b"\n")
        delays += [(now - int(line)) / 1e6 for line in lines]
        if chunk.done:
            return spread("command writes -> reader sees", delays)


def save_delay(running: Running, client: AgentConnection, times: int) -> Iterator[Row]:
    watch = client.call("bench", protocol.WatchAdd("."))
    log = running.root / "app.log"
    log.write_text("", encoding="utf-8")
    client.call("bench", protocol.WatchAdd("app.log"))
    for name, write in (
        ("file saved -> changes", lambda n: (running.root / "saved.txt").write_text(f"{n}\n", encoding="utf-8")),
        ("log line written -> changes", lambda n: append(log, f"line {n}\n")),
    ):
        delays = []
        for number in range(times):
            time.sleep(0.3)
            cursor = client.call("bench", protocol.Changes("now")).cursor
            started = time.perf_counter()
            write(number)
            found = client.call("bench", protocol.Changes(cursor, 5.0))
            delays.append((time.perf_counter() - started) * 1000)
            if not found.changes:
                sys.exit(f"{name}: nothing was reported within 5 s.")
        yield spread(name, delays, note=f"{watch.method} ({watch.reason})")


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def sandbox_cost(client: AgentConnection, times: int) -> Iterator[Row]:
    """Interleaved, so that both see the same machine."""
    bare = [str(candidates()[0]), "--ro-bind", "/", "/"]
    alone = [*bare, "true"]
    isolated = [*bare, "--unshare-all", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "true"]  # noqa: S108
    direct: list[list[float]] = [[], []]
    through = []
    for _ in range(times + 1):
        for values, command in zip(direct, (alone, isolated), strict=True):
            started = time.perf_counter()
            subprocess.run(command, check=True)
            values.append((time.perf_counter() - started) * 1000)
        started = time.perf_counter()
        status = client.call("bench", protocol.Run(argv=("true",), wait_s=20.0))
        ended = time.perf_counter()
        if status.state != "done" or status.exit_code != 0:
            sys.exit(f"`run true` ended with {status}.")
        through.append((ended - started) * 1000)
    middle = [percentile(values[1:], 0.5) for values in (*direct, through)]
    yield spread("bare bwrap true, isolating nothing", direct[0][1:])
    yield spread("bare bwrap true, with its namespaces", direct[1][1:], note="--unshare-all --proc --dev --tmpfs")
    yield spread("run true, until its status is known", through[1:])
    yield single("ratio to bwrap with its namespaces", middle[2] / middle[1], "", "wanted: 2 at most")
    yield single("ratio to bwrap isolating nothing", middle[2] / middle[0], "")


def throughput(client: AgentConnection, name: str) -> Row:
    """The command's own time from its first byte to its last, with one reader following."""
    started = time.perf_counter()
    job = client.call("bench", protocol.Run(argv=("head", "-c", str(PRODUCED), "/dev/zero")))
    offset = received = skipped = 0
    while True:
        chunk = client.call("bench", protocol.JobOutput(job.job_id, offset, 20.0, limit=512 * 1024))
        received += chunk.next_offset - chunk.offset
        skipped += chunk.skipped
        offset = chunk.next_offset
        if chunk.done:
            break
    seconds = time.perf_counter() - started
    if received + skipped != PRODUCED:
        sys.exit(f"{received} bytes received and {skipped} named as skipped are not the {PRODUCED} written.")
    note = f"{received / MIB:.0f} MiB received, {skipped / MIB:.0f} MiB named as the gap, nothing lost in silence"
    return single(name, PRODUCED / MIB / seconds, "MiB/s", note)


def crowd(running: Running, seconds: float) -> Iterator[Row]:
    """Each client asks for its own file, and checks that it gets it."""
    delays: list[list[float]] = [[] for _ in range(CLIENTS)]
    wrong: list[str] = []

    def client(number: int) -> None:
        text = f"client {number}\n" * 20
        (running.root / f"client{number}.txt").write_text(text, encoding="utf-8")
        try:
            with running.connect() as connection:
                until = time.perf_counter() + seconds
                while (started := time.perf_counter()) < until:
                    answer = connection.call(f"user{number}", protocol.ReadFile(f"client{number}.txt"))
                    delays[number].append((time.perf_counter() - started) * 1000)
                    if answer.text != text:
                        wrong.append(f"client {number} got another's answer")
        except AgentFailure as failure:
            wrong.append(f"client {number}: {failure}")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [delay for own in delays for delay in own]
    note = f"{len(wrong)} lost or wrong{': ' + wrong[0] if wrong else ''}"
    yield spread(f"{CLIENTS} clients for {seconds:g} s, read_file", everything, note=note)
    yield single(f"{CLIENTS} clients for {seconds:g} s, calls", len(everything) / seconds, "/s", note)


def resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def measure(times: int, seconds: float) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name, agent(Path(name)) as running:
        time.sleep(2)
        yield single("memory of an idle agent", resident(running.pid), "MiB", "resident; wanted: 60 at most")
        with running.connect() as client:
            yield from reading(running, client, times)
            yield output_delay(client, max(20, times // 20))
            yield from save_delay(running, client, max(10, times // 50))
            yield from sandbox_cost(client, max(10, times // 20))
            yield throughput(client, "job_output, 256 MiB, 8 MiB kept")
        yield from crowd(running, seconds)
        yield single("memory after all that", resident(running.pid), "MiB")
    with (
        tempfile.TemporaryDirectory() as name,
        agent(Path(name), JOB_OUTPUT_MB="300") as running,
        running.connect() as client,
    ):
        yield throughput(client, "job_output, 256 MiB, all kept")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-n", type=int, default=1000, help="how often the quick calls are made (default 1000)")
    arguments.add_argument("--seconds", type=float, default=30, help=f"how long the {CLIENTS} clients ask (default 30)")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    options = arguments.parse_args()
    about = machine(PACKAGES)
    print(f"{about['processor']}, {about['cores']} cores, Python {about['python']}; load {about['load_before'][0]}")
    print(f"{'':40} {'n':>7} {'p50':>9} {'p95':>9} {'p99':>9}")
    rows = []
    for row in measure(options.n, options.seconds):
        rows.append(row)
        p95, p99 = (f"{row[key]:.2f}" if row[key] is not None else "" for key in ("p95", "p99"))
        print(f"{row['row']:40} {row['n']:7} {row['p50']:9.2f} {p95:>9} {p99:>9} {row['unit']:5} {row['note']}")
        sys.stdout.flush()
    if options.json:
        write_json(options.json, about, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
