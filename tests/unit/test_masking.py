"""Secrets stay out of texts, wherever these were cut, and out of everything that is sent or logged."""

from __future__ import annotations

import io
import json
import logging
import random

import pytest

from bot.chat.rendering import split
from bot.chat.safe_rest import _safe_form, safe
from bot.chat.showing import plain
from bot.log import PlainLines, masking
from bot.masking import HIDDEN, PIECE, STEP, Mask

SECRET = "MTIzNDU2.Gx_y-z.aB3_dE6_gH9-kL2_nO5_qR8-tU1_wX4"  # noqa: S105 - worth nothing
FOUND = PIECE + STEP - 1
"""As many characters of a secret in a row are never shown."""
hide = Mask([SECRET, "another-secret-value", "none"])


def shown(text: str) -> str:
    """The longest piece of SECRET in `text`."""
    pieces = (SECRET[a:b] for a in range(len(SECRET)) for b in range(a + 1, len(SECRET) + 1))
    return max((piece for piece in pieces if piece in text), key=len, default="")


def test_whole_secrets_are_hidden_and_nothing_else() -> None:
    assert hide(f"API_KEY={SECRET}\nB=another-secret-value!") == f"API_KEY={HIDDEN}\nB={HIDDEN}!"
    assert hide(f"{SECRET}{SECRET}") == HIDDEN * 2
    text = "none of this is secret, MTIz least of all; value-another, Gx_y"
    assert hide(text) == text
    assert Mask([])(SECRET) == SECRET


def test_pieces_are_hidden_wherever_a_text_was_cut() -> None:
    for begin in range(len(SECRET)):
        for end in range(begin + 1, len(SECRET) + 1):
            left = hide(f"before {SECRET[begin:end]} after")
            assert len(shown(left)) < FOUND
            assert left.startswith("before ")
            assert left.endswith(" after")


def test_over_two_messages_nothing_of_it_can_be_put_together() -> None:
    choose = random.Random(3)
    for _ in range(200):
        text = "x" * choose.randint(1900, 2000) + SECRET + "y" * choose.randint(200, 2000)
        parts = [hide(part) for part in split(text)]
        assert len(parts) > 1
        assert all(len(shown(part)) < FOUND for part in parts)


def test_signs_that_discord_does_not_show_do_not_save_it() -> None:
    assert len(shown(plain(SECRET))) < len(SECRET), "the signs are not there any more; this test tests nothing"
    for text in (plain(f"no such file: {SECRET}"), "\N{ZERO WIDTH SPACE}".join(SECRET)):
        bare = hide(text).replace("\\", "").replace("\N{ZERO WIDTH SPACE}", "")
        assert len(shown(bare)) < FOUND


def test_a_large_file_is_hidden_in_too() -> None:
    text = f"line\\\n{SECRET}\n" * 20_000
    assert hide(text) == f"line\\\n{HIDDEN}\n" * 20_000


def test_all_that_is_sent_is_hidden_and_pings_nobody() -> None:
    sent = safe({"content": SECRET, "embeds": [{"title": f"a {SECRET}"}], "components": [{"custom_id": "x"}]}, hide)
    assert SECRET not in json.dumps(sent)
    assert sent["allowed_mentions"] == {"parse": []}
    assert sent["components"] == [{"custom_id": "x"}]
    pinging = {"type": 4, "data": {"content": "@everyone", "allowed_mentions": {"parse": ["everyone"]}}}
    assert safe(pinging, hide)["data"]["allowed_mentions"] == {"parse": []}
    assert "allowed_mentions" not in safe({"type": 5}, hide)


def test_files_are_hidden_in_and_can_be_sent_twice() -> None:
    picture = b"\x89PNG\r\n\xff" + SECRET.encode()
    parts = [
        {"name": "payload_json", "value": json.dumps({"content": SECRET})},
        {"name": "files[0]", "filename": "a.txt", "value": io.BytesIO(f"x {SECRET}".encode())},
        {"name": "files[1]", "filename": "b.png", "value": io.BytesIO(picture)},
    ]
    payload, text, image = (part["value"] for part in _safe_form(parts, hide))
    assert json.loads(payload) == {"content": HIDDEN, "allowed_mentions": {"parse": []}}
    assert text == f"x {HIDDEN}".encode()
    assert image == picture


def test_the_log_hides_them_in_tracebacks_too(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(f"refused {SECRET}")
    except ValueError:
        logging.getLogger("bot.test").exception("with %s", SECRET)
    line = PlainLines(masking([SECRET])).format(caplog.records[-1])
    assert "Traceback" in line
    assert line.count(HIDDEN) == 2
    assert SECRET not in line
