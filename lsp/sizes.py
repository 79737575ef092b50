"""Sizes of memory as people write them: ``8GiB``, ``24 GB``, ``512M``."""

from __future__ import annotations

import argparse
import re

_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
# Nobody has so little: who writes 8 means GiB, and bytes have a unit or more digits.
_LEAST_BYTES = 1 << 20
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([kmgt]?)(i?)(b?)", re.IGNORECASE)


def size(text: str) -> int:
    """``text`` in bytes: GiB and G are 2^30, GB is 10^9, a large number alone counts bytes; for ``argparse``.

    Raises:
        argparse.ArgumentTypeError: it isn't a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size: write 8GiB, 512MiB or a number of bytes")
    if not match[2] and 0 < float(match[1]) < _LEAST_BYTES:
        raise argparse.ArgumentTypeError(f"{text!r} is a size without a unit: write {match[1]}GiB or {match[1]}MiB")
    base = 1000 if match[4] and not match[3] else 1024
    return int(float(match[1]) * base ** _POWERS[match[2].lower()])


def sizes(text: str) -> tuple[int, ...]:
    """Several of them, parted by commas.

    Raises:
        argparse.ArgumentTypeError: one isn't a size.
    """
    return tuple(size(part) for part in text.split(","))
