"""Is this the same sound?"""

from __future__ import annotations

import numpy as np

from bot.events import Int16


def likeness(original: Int16, heard: Int16) -> tuple[float, int]:
    """Cross-correlation of `original` with the part of `heard` that fits it best (1.0: the same but for the level),
    and where in `heard` that part begins."""
    a, b = original.astype(np.float64), heard.astype(np.float64)
    assert len(b) >= len(a), f"only {len(b)} of {len(a)} samples were heard"
    size = 1 << (len(a) + len(b)).bit_length()
    product = np.fft.irfft(np.fft.rfft(b, size) * np.conj(np.fft.rfft(a, size)), size)[: len(b) - len(a) + 1]
    where = int(product.argmax())
    part = b[where : where + len(a)]
    return float(a @ part / (np.linalg.norm(a) * np.linalg.norm(part) + 1e-9)), where


def drift(original: Int16, heard: Int16) -> int:
    """By how many samples the last third lies elsewhere than the first third says."""
    third = len(original) // 3
    _, first = likeness(original[:third], heard)
    _, last = likeness(original[-third:], heard)
    return last - first - (len(original) - third)
