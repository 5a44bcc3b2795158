"""How long each frame of a GIF, APNG or WebP animation stays, read from the file's structure; no pixel is decoded.

GIF89a specification section 23, PNG specification (third edition) section 11.3.5, WebP container specification "ANMF".
Every step goes forward by what the file says and by at least one byte, so a damaged file only gives fewer frames.
"""

from __future__ import annotations

from fractions import Fraction

_MOST_STRAYS = 10_000
"""Bytes between blocks that mean nothing; some writers leave a few."""
_GIF_SHORTEST = Fraction(1, 100)
_INSTEAD = Fraction(1, 10)
"""Viewers show GIF frames of 10 ms and less, and frames of no time at all, for 100 ms."""


def frame_delays(data: bytes) -> list[Fraction]:
    """Give the seconds that each frame stays, as far as the file is whole."""
    if data.startswith(b"GIF8"):
        return [delay if delay > _GIF_SHORTEST else _INSTEAD for delay in _gif_delays(data)]
    delays = _webp_delays(data) if data.startswith(b"RIFF") else _png_delays(data)
    return [delay or _INSTEAD for delay in delays]


def _gif_delays(data: bytes) -> list[Fraction]:
    delays: list[Fraction] = []
    strays, delay, position = 0, Fraction(0), 13 + _table_bytes(data[10:11])
    while position + 1 < len(data):
        block = data[position]
        if block == 0x21:
            if data[position + 1] == 0xF9:
                delay = Fraction(int.from_bytes(data[position + 4 : position + 6], "little"), 100)
            position = _skip_blocks(data, position + 2)
        elif block == 0x2C:
            delays.append(delay)
            delay = Fraction(0)
            position = _skip_blocks(data, position + 11 + _table_bytes(data[position + 9 : position + 10]))
        elif block == 0x3B:
            break
        else:
            strays, position = strays + 1, position + 1
            if strays > _MOST_STRAYS:
                break
    return delays


def _table_bytes(flags: bytes) -> int:
    """Give the length of a colour table from its flags (none when the file has ended)."""
    return 3 << ((flags[0] & 7) + 1) if flags and flags[0] & 0x80 else 0


def _skip_blocks(data: bytes, position: int) -> int:
    """Go past a chain of sub-blocks."""
    while position < len(data) and data[position]:
        position += data[position] + 1
    return position + 1


def _png_delays(data: bytes) -> list[Fraction]:
    delays, position = [], 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == b"fcTL" and length == 26:
            above = int.from_bytes(data[position + 28 : position + 30], "big")
            below = int.from_bytes(data[position + 30 : position + 32], "big")
            delays.append(Fraction(above, below or 100))
        position += 12 + length
    return delays


def _webp_delays(data: bytes) -> list[Fraction]:
    delays, position = [], 12
    while position + 8 <= len(data):
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        if data[position : position + 4] == b"ANMF" and length >= 16:
            delays.append(Fraction(int.from_bytes(data[position + 20 : position + 23], "little"), 1000))
        position += 8 + length + length % 2
    return delays
