"""Where the time between the end of a question and the first sound of its answer goes: p50 and p95 per span.

Each recording of tests/audio is asked N times, in real time, through the whole pipeline (a WAV as microphone, a paced
output without a device). In the same run each stage is measured alone on the same inputs, so that what the pipeline
adds to its stages can be read off.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench_common import machine, percentile, write_json  # noqa: E402
from rich.table import Table  # noqa: E402

from bot import config  # noqa: E402
from bot.answer import Mouth  # noqa: E402
from bot.audio.outputs import PacedOutput  # noqa: E402
from bot.audio.speaker import PlaybackSpeaker  # noqa: E402
from bot.audio.wav import WavMicrophone, read_wav  # noqa: E402
from bot.console import engines_table, make_console  # noqa: E402
from bot.engines import Voice, loaded, make_brain, make_llm, make_voice  # noqa: E402
from bot.events import (  # noqa: E402
    FRAME_SAMPLES,
    FRAME_SECONDS,
    Event,
    Frame,
    Sentence,
    Transcribed,
    TurnMetrics,
    TurnSignal,
    Usage,
)
from bot.models.catalogue import Catalogue  # noqa: E402
from bot.ports import Llm  # noqa: E402
from bot.session import Ears, Session  # noqa: E402
from bot.spans import SUMMED  # noqa: E402
from bot.talk import make_listener, make_splitter  # noqa: E402

PACKAGES = ("onnxruntime", "faster-whisper", "ctranslate2", "llama-cpp-python", "kokoro-onnx")
RECORDINGS = "question*.wav"
"""The questions; the other recordings are sentences that nobody would ask an assistant."""
ALLOWED_MS = 150
"""What the pipeline may add to its stages."""


@dataclass(frozen=True)
class Alone:
    """Seconds of one stage on one question, with nothing else going on."""

    stt: float
    llm: float
    """From the question's text to the first piece that can be said."""
    tts: float
    """Of that piece."""


class Collector:
    """Keeps the spans of the turn, and prints nothing."""

    def __init__(self) -> None:
        self.spans: dict[str, float] = {}
        self.text = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, TurnMetrics):
            self.spans = dict(event.spans)
        if isinstance(event, Transcribed):
            self.text = event.text


async def measure_alone(settings: config.Settings, voice: Voice, llm: Llm, pcm: Any) -> Alone:
    now = asyncio.get_running_loop().time
    utterance = whole_utterance(settings, voice, pcm)
    began = now()
    transcript = await voice.stt.transcribe(utterance)
    stt = now() - began

    brain = make_brain(settings, llm)
    await brain.warm()
    splitter = make_splitter(1)
    first: Sentence | None = None
    began = now()
    async with aclosing(brain.reply(transcript.text)) as items:
        async for item in items:
            pieces = [] if isinstance(item, Usage) else [p for p in splitter.feed(item) if p.spoken]
            if pieces:
                first = pieces[0]
                break
    first = first or next((piece for piece in splitter.finish() if piece.spoken), None)
    thought = now() - began
    if first is None:
        # Nothing to say aloud, such as an answer of code alone.
        return Alone(stt, thought, 0.0)
    began = now()
    await voice.tts.speak(first)
    return Alone(stt, thought, now() - began)


def whole_utterance(settings: config.Settings, voice: Voice, pcm: Any) -> Any:
    """What the listener cuts out of the recording, so that both ways transcribe the same sound."""
    listener = make_listener(settings)
    voice.vad.reset()
    for n in range(len(pcm) // FRAME_SAMPLES):
        frame = Frame(pcm[n * FRAME_SAMPLES : (n + 1) * FRAME_SAMPLES], n * FRAME_SECONDS)
        heard = listener.feed(frame, voice.vad.probability(frame))
        if heard.signal is TurnSignal.ENDED and heard.utterance:
            return heard.utterance.pcm
    raise SystemExit("A recording holds no whole utterance.")


async def measure_turn(settings: config.Settings, voice: Voice, llm: Llm, pcm: Any) -> dict[str, float]:
    brain = make_brain(settings, llm)
    await brain.warm()
    voice.vad.reset()
    collector = Collector()
    microphone = WavMicrophone(pcm)
    async with PlaybackSpeaker(PacedOutput(), lambda error: None) as speaker:
        ears = Ears(microphone, voice.vad, make_listener(settings), voice.stt)
        await Session(ears, Mouth(brain, voice.tts, speaker, make_splitter), collector, turns=1).run()
    await microphone.close()
    return collector.spans


def row(name: str, values: Sequence[float]) -> dict[str, Any]:
    return {
        "span": name,
        "n": len(values),
        "p50": round(percentile(values, 0.5), 1),
        "p95": round(percentile(values, 0.95), 1),
    }


async def measure(times: int, settings: config.Settings) -> tuple[list[dict[str, Any]], Any]:
    catalogue = Catalogue(settings.models)
    voice, llm = make_voice(settings, catalogue), make_llm(settings, catalogue)
    recordings = sorted((ROOT / "tests" / "audio").glob(RECORDINGS))
    turns: list[dict[str, float]] = []
    alone: list[Alone] = []
    async with loaded([voice.vad, voice.stt, llm, voice.tts]) as engines:
        for _ in range(times):
            for path in recordings:
                pcm = read_wav(path)
                alone.append(await measure_alone(settings, voice, llm, pcm))
                turns.append(await measure_turn(settings, voice, llm, pcm))
                print(f"{path.name}: {turns[-1].get('total_ms', 0):.0f} ms", file=sys.stderr)
    rows = [row(name, [t.get(name, 0.0) for t in turns]) for name in (*SUMMED, "stt_work_ms", "total_ms")]
    rows += [row(f"alone_{stage}_ms", [getattr(a, stage) * 1000 for a in alone]) for stage in ("stt", "llm", "tts")]
    sums = [t.get("silence_ms", 0) + 1000 * (a.stt + a.llm + a.tts) for t, a in zip(turns, alone, strict=True)]
    rows.append(row("silence_and_stages_alone_ms", sums))
    added = [t.get("total_ms", 0) - s for t, s in zip(turns, sums, strict=True)]
    rows.append(row("added_by_the_pipeline_ms", added))
    return rows, engines


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("-n", type=int, default=5, help="how often each recording is asked (default 5)")
    arguments.add_argument("--json", type=Path, metavar="FILE", help="also write the figures here")
    arguments.add_argument("--seed", type=int, default=1, help="of the language model's sampling (default 1)")
    options = arguments.parse_args()
    config.prepare_libraries()
    about = machine(PACKAGES)
    settings = config.load()
    settings = replace(settings, llm=replace(settings.llm, seed=options.seed))
    rows, engines = asyncio.run(measure(options.n, settings))
    console = make_console()
    console.print(engines_table(engines.infos, engines.seconds))
    title = f"{about['processor']}, {about['cores']} cores, Python {about['python']}; load {about['load_before'][0]}"
    table = Table(title=title, title_justify="left")
    table.add_column("span (ms)")
    for heading in ("n", "p50", "p95"):
        table.add_column(heading, justify="right")
    for line in rows:
        table.add_row(line["span"].removesuffix("_ms"), str(line["n"]), f"{line['p50']:.0f}", f"{line['p95']:.0f}")
    console.print(table)
    median = next(line["p50"] for line in rows if line["span"] == "added_by_the_pipeline_ms")
    console.print(f"The pipeline adds {median:.0f} ms to its stages measured alone (allowed: {ALLOWED_MS}).")
    if options.json:
        write_json(options.json, about, rows, options.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
