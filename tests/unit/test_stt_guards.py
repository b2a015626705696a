"""Which texts of Whisper may become a question. The evidence is what the models gave for such sounds."""

from __future__ import annotations

import numpy as np
import pytest

from bot.events import MIC_RATE
from bot.voice.stt_audio import LEVEL_DB, SILENCE_DB, level, loudest_db, pieces
from bot.voice.stt_guards import Evidence, cut_loops, foreign, judge, language_name, loops


def evidence(text: str, no_speech: float = 0.05, logprob: float = -0.4, seconds: float = 2.0) -> Evidence:
    return Evidence(text, no_speech, logprob, seconds)


@pytest.mark.parametrize(
    ("text", "no_speech", "logprob"),
    [
        ("you", 0.653, -1.39),
        ("You", 0.953, -1.04),
        ("Thank you.", 0.901, -0.88),
        ("I'm sorry.", 0.762, -1.52),
        ("I'm going to do it.", 0.885, -1.66),
        ("I'm...", 0.291, -1.76),
        ("The", 0.449, -2.63),
        ("Thanks for watching!", 0.7, -0.9),
        ("Bye.", 0.8, -0.7),
    ],
)
def test_noise_is_no_sentence(text: str, no_speech: float, logprob: float) -> None:
    verdict = judge(evidence(text, no_speech, logprob))
    assert (verdict.text, verdict.dropped) == ("", "no speech")


@pytest.mark.parametrize(
    ("text", "no_speech", "logprob"),
    [
        ("Thank you.", 0.02, -0.32),
        ("Thank you.", 0.29, -0.41),
        ("Bye!", 0.01, -0.44),
        ("you", 0.1, -0.8),
        ("Thanks for watching!", 0.03, -0.3),
        ("Sure", 0.413, -1.22),
        ("5 5.", 0.655, -0.6),
        ("Live", 0.071, -1.59),
        ("Yes.", 0.377, -0.5),
    ],
)
def test_the_same_words_spoken_stay(text: str, no_speech: float, logprob: float) -> None:
    assert judge(evidence(text, no_speech, logprob)).text == text


@pytest.mark.parametrize(
    "text", ["[Music]", "(wind blowing)", "♪", "♪ la la ♪", "*sighs*", ". . . . .", "...", "", " "]
)
def test_descriptions_of_sound_are_no_speech(text: str) -> None:
    assert judge(evidence(text, 0.0, -0.1)).dropped == "no speech"


def test_descriptions_are_taken_out_of_speech() -> None:
    assert judge(evidence("[Music] Run the tests. (wind blowing)")).text == "Run the tests."
    assert judge(evidence("Call main(argv) again.")).text == "Call main(argv) again."


def test_credits_are_never_said() -> None:
    assert judge(evidence("Subtitles by the Amara.org community", 0.0, -0.1)).dropped == "no speech"


def test_loops_are_cut_to_one_round() -> None:
    assert cut_loops("Run it. Run it. Run it. Run it.") == "Run it."
    assert cut_loops("So I said no no no no no no no no and left") == "So I said no and left"
    assert judge(evidence("Open the file. Open the file. Open the file.")).text == "Open the file."


@pytest.mark.parametrize("text", ["No, no, no!", "Yes yes yes yes.", "five five", "very very very good", "bye bye"])
def test_people_repeat_themselves_too(text: str) -> None:
    assert cut_loops(text) == text
    assert not loops(evidence(text))


def test_a_loop_over_noise_is_dropped() -> None:
    assert judge(evidence("Beep Beep Beep Beep Beep", 0.85, -0.5, 0.3)).dropped == "repetition"


def test_more_words_than_can_be_said() -> None:
    text = "This is a whole sentence that nobody can say in so little time."
    assert judge(evidence(text, 0.0, -0.2, 0.4)).dropped == "repetition"
    assert judge(evidence(text, 0.0, -0.2, 3.0)).text == text


def test_what_is_heard_again() -> None:
    assert loops(evidence("5 5 5 5 5 5 5 5 5 5"))
    assert loops(Evidence("He was not", 0.0, -0.2, 1.0, truncated=True))
    assert not loops(evidence("How do I undo the last commit?"))


@pytest.mark.parametrize(
    ("found", "seconds", "expected"),
    [
        ({"de": 0.98, "en": 0.01}, 4.0, ("de", "German")),
        ({"fr": 0.99, "en": 0.001}, 0.9, ("fr", "French")),
        ({"ja": 0.22, "it": 0.2, "en": 0.02}, 2.0, ("ja", "another language")),
        ({"ja": 0.56, "zh": 0.25, "en": 0.02}, 1.2, ("", "")),
        ({"ja": 0.68, "en": 0.08}, 1.2, ("", "")),
        ({"hi": 0.55, "en": 0.21}, 1.5, ("", "")),
        ({"en": 0.9}, 3.0, ("", "")),
        ({}, 3.0, ("", "")),
    ],
)
def test_foreign_only_when_sure(found: dict[str, float], seconds: float, expected: tuple[str, str]) -> None:
    assert foreign(found, "en", seconds) == expected


def test_languages_have_names() -> None:
    assert language_name("de") == "German"
    assert language_name("xx") == "language 'xx'"


def test_level_makes_quiet_and_loud_alike() -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(MIC_RATE) / MIC_RATE)
    loud, quiet = (level((tone * peak).astype(np.int16)) for peak in (20_000, 200))
    assert np.max(np.abs(loud - quiet)) < 0.01
    assert 20 * np.log10(np.sqrt(np.mean(loud**2))) == pytest.approx(LEVEL_DB, abs=0.1)


def test_silence_is_not_amplified() -> None:
    silent = np.zeros(MIC_RATE, dtype=np.int16)
    silent[::50] = 1
    assert loudest_db(silent) < SILENCE_DB
    assert np.max(np.abs(level(silent))) < 0.001
    assert loudest_db(np.zeros(0, dtype=np.int16)) == -np.inf


def test_long_sound_is_cut_in_its_pauses() -> None:
    rng = np.random.default_rng(0)
    sound = (rng.standard_normal(70 * MIC_RATE) * 3000).astype(np.int16)
    for pause in (25, 50):
        sound[pause * MIC_RATE : round((pause + 0.4) * MIC_RATE)] = 0
    cut = pieces(sound)
    assert np.array_equal(np.concatenate(cut), sound)
    assert [round(len(piece) / MIC_RATE) for piece in cut] == [25, 25, 20]
    assert max(len(piece) for piece in pieces(np.ones(200 * MIC_RATE, dtype=np.int16))) <= 28 * MIC_RATE


def test_a_long_sound_is_not_one_stock_word() -> None:
    assert judge(Evidence("And", no_speech=0.1, logprob=-0.3, seconds=8.0)).text == ""
    assert judge(Evidence("And", no_speech=0.1, logprob=-0.3, seconds=1.0)).text == "And"
