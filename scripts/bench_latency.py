"""Where the time between the end of a question and the first sound of its answer goes: p50 and p95 per span.

Each recording of tests/audio is asked N times, in real time, through the whole pipeline (a WAV as microphone, a paced
output without a device). In the same run each stage is measured alone on the same inputs, so that what the pipeline
adds to its stages can be read off.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import platform
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bot import config  # noqa: E402
from bot.answer import Mouth  # noqa: E402
from bot.audio.speaker import PacedOutput, PlaybackSpeaker  # noqa: E402
from bot.audio.wav import WavMicrophone, read_wav  # noqa: E402
from bot.console import engines_table, make_console  # noqa: E402
from bot.engines import Voice, loaded, make_llm, make_voice  # noqa: E402
from bot.events import Event, Sentence, Transcribed, TurnMetrics, Usage  # noqa: E402
from bot.llm.brain import ConversationBrain  # noqa: E402
from bot.models.catalogue import Catalogue  # noqa: E402
from bot.ports import Llm  # noqa: E402
from bot.spans import SUMMED  # noqa: E402
from bot.talk import make_ears, make_mouth  # noqa: E402

PACKAGES = ("onnxruntime", "faster-whisper", "ctranslate2", "llama-cpp-python", "kokoro-onnx")
RECORDINGS = "question*.wav"
"""The questions; the other recordings are sentences that nobody would ask an assistant."""
ALLOWED_MS = 150
"""What the pipeline may add to its stages."""
