"""Decides whether what Whisper wrote was said at all. Pure: evidence in, verdict out.

Whisper writes sentences over noise ("Thank you.", "you", "I'm sorry."). No list of words can tell them from the same
words spoken, so the model's own two doubts decide together; the numbers come from 20 kinds of noise and music in four
lengths against 90 recorded and spoken clips, on base and tiny.en, all at the level that `stt_audio.level` sets.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

NO_SPEECH = "no speech"
REPETITION = "repetition"

DOUBT_FLOOR = 0.25
"""No-speech probability below which the model is sure to hear somebody. Noise: at least 0.29; words on base: at most
0.24."""
DOUBT_AT_ZERO, DOUBT_SLOPE = -1.8, 0.8
"""Above the floor, text counts as noise when its mean log probability is under AT_ZERO + SLOPE * no-speech probability.
Noise reached -1.39 at 0.65 and -1.04 at 0.95; real words went down to -1.22 at 0.41 and -0.6 at 0.66."""
SURELY_NOBODY = 0.5
"""No-speech probability above which three times the same word is a loop already ("Beep Beep Beep" over a tone)."""
STOCK_MARGIN = 0.6
"""What is written over noise most often has to be this much more certain, as log probability."""
STOCK = frozenset(
    """you|thank you|thanks|thank you very much|thank you so much|thanks for watching|thank you for watching
    |thanks for listening|thank you for listening|bye|bye bye|goodbye|i'm sorry|sorry|please subscribe|subscribe
    |like and subscribe|see you next time|see you in the next video|i'll see you next time|the end|so|i|i'm|oh|uh|um
    |hmm|the|and|beep|music|applause|silence|foreign""".replace("\n    ", "").split("|")
)
LONGEST_STOCK_S = 4.0
"""Sound longer than this is not one of these alone: a tone of 8 s became "And"."""
CREDITS = re.compile(r"\b(subtitles|captions|captioning|transcribed|translated) by\b|\bamara\.org\b", re.I)
"""Written by the model out of its training data; nobody says this to an assistant."""

FASTEST_WORDS_PER_S, SPARE_WORDS = 7.0, 3
"""Nobody speaks more words than this in the time."""
LOOP_WORDS = 6
"""Words in an unbroken repetition (at least three times the same) from which on it is the model's loop."""
MAX_COMPRESSION = 2.0
"""zlib's ratio above which text repeats itself."""

FOREIGN_SURE = 0.8
"""Probability of another language that is needed to believe in it after a short sound. English words of one syllable
were taken for Japanese with up to 0.68."""
FOREIGN_DOUBT = 0.05
"""The wanted language must be less likely than this as well; from `LONG_S` on that is enough (English: over 0.17)."""
LONG_S = 1.5
NAMED = 0.5
"""Probability from which the other language is called by its name."""

LANGUAGES: Mapping[str, str] = dict(
    re.findall(
        r"(\w+)=(\w+)",
        "af=Afrikaans ar=Arabic bg=Bulgarian bn=Bengali br=Breton ca=Catalan cs=Czech cy=Welsh da=Danish de=German "
        "el=Greek en=English es=Spanish et=Estonian eu=Basque fa=Persian fi=Finnish fr=French gl=Galician he=Hebrew "
        "hi=Hindi hr=Croatian hu=Hungarian id=Indonesian is=Icelandic it=Italian ja=Japanese ko=Korean la=Latin "
        "lt=Lithuanian lv=Latvian ms=Malay nl=Dutch nn=Norwegian no=Norwegian pl=Polish pt=Portuguese ro=Romanian "
        "ru=Russian sk=Slovak sl=Slovenian sq=Albanian sr=Serbian sv=Swedish sw=Swahili ta=Tamil te=Telugu th=Thai "
        "tl=Tagalog tr=Turkish uk=Ukrainian ur=Urdu vi=Vietnamese zh=Chinese",
    )
)
"""Names for people of the languages that are detected most."""

BRACKETED = re.compile(r"\[[^\]]*\]|(?<!\w)\([^)]*\)|\*[^*]*\*|♪[^♪]*♪|[♪♫]+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about one piece of sound and its text."""

    text: str
    no_speech: float
    """Whisper's probability that nobody speaks, 0 to 1."""
    logprob: float
    """Mean natural log probability per token."""
    seconds: float
    """Length of the sound."""
    truncated: bool = False
    """The text ran into the limit of tokens for its length."""


@dataclass(frozen=True, slots=True)
class Verdict:
    text: str
    """What may be answered; empty when nothing was said."""
    dropped: str = ""
    """Why it is empty."""


def judge(evidence: Evidence) -> Verdict:
    """The text as it may go on, or the reason why it may not."""
    text = _spoken(evidence.text)
    if not text:
        return Verdict("", NO_SPEECH)
    if sounds_like_noise(replace(evidence, text=text)):
        return Verdict("", NO_SPEECH)
    if evidence.no_speech > SURELY_NOBODY and cut_loops(text, least=3) != text:
        return Verdict("", REPETITION)
    cut = cut_loops(text)
    if len(cut.split()) > SPARE_WORDS + FASTEST_WORDS_PER_S * evidence.seconds or compression(cut) > MAX_COMPRESSION:
        return Verdict("", REPETITION)
    return Verdict(cut)


def sounds_like_noise(evidence: Evidence) -> bool:
    """The model's two doubts taken together: that nobody speaks, and that the text is wrong."""
    if CREDITS.search(evidence.text):
        return True
    stock = _plain(evidence.text) in STOCK
    if stock and evidence.seconds > LONGEST_STOCK_S:
        return True
    if evidence.no_speech < DOUBT_FLOOR:
        return False
    needed = DOUBT_AT_ZERO + DOUBT_SLOPE * evidence.no_speech
    if stock:
        needed += STOCK_MARGIN
    return evidence.logprob < needed


def loops(evidence: Evidence) -> bool:
    """Whether the text repeats itself so that the sound should be heard again with more padding."""
    text = evidence.text.strip()
    return evidence.truncated or compression(text) > MAX_COMPRESSION or cut_loops(text) != text


def cut_loops(text: str, least: int = LOOP_WORDS) -> str:
    """Keeps the first round of each loop of `least` words or more: "run it. run it. run it." becomes "run it."."""
    words = text.split()
    plain = [_plain(word) for word in words]
    kept: list[str] = []
    at = 0
    while at < len(words):
        size, rounds = _loop_at(plain, at, least)
        kept += words[at : at + size]
        at += size * rounds
    return " ".join(kept) if len(kept) < len(words) else text


def compression(text: str) -> float:
    data = text.encode()
    return len(data) / len(zlib.compress(data))


def foreign(probabilities: Mapping[str, float], wanted: str, seconds: float) -> tuple[str, str]:
    """(code, name for people) of another language when the detection is sure enough, else two empty strings.

    Wrong guesses about short words are common, and dropping a real "yes" is worse than misreading a foreign one.
    """
    if not probabilities:
        return "", ""
    heard = max(probabilities, key=lambda code: probabilities[code])
    chance = probabilities[heard]
    if heard == wanted or probabilities.get(wanted, 0.0) >= FOREIGN_DOUBT:
        return "", ""
    if seconds < LONG_S and chance < FOREIGN_SURE:
        return "", ""
    return heard, language_name(heard) if chance >= NAMED else "another language"


def language_name(code: str) -> str:
    return LANGUAGES.get(code, f"language {code!r}")


def _loop_at(plain: list[str], at: int, least: int) -> tuple[int, int]:
    """(words, rounds) of the loop that begins at `at`; (1, 1) when there is none."""
    for size in range(1, min(12, (len(plain) - at) // 3) + 1):
        unit, rounds = plain[at : at + size], 1
        while plain[at + rounds * size : at + (rounds + 1) * size] == unit:
            rounds += 1
        if rounds >= 3 and size * rounds >= least:
            return size, rounds
    return 1, 1


def _spoken(text: str) -> str:
    """Without descriptions of sounds: "[Music]", "(wind blowing)", "♪". Empty when no letter or digit is left."""
    left = " ".join(BRACKETED.sub(" ", text).split())
    return left if any(mark.isalnum() for mark in left) else ""


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower().replace("\u2019", "'")).split())
