"""Media files changed byte by byte into what no honest program writes."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from pathlib import Path

Change = Callable[[bytes], bytes]
_PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf", b"edts")


# -- damage -------------------------------------------------------------------------------------------------------------


def cut(share: float) -> Change:
    """The first part of the file."""
    return lambda data: data[: round(len(data) * share)]


def headless(share: float) -> Change:
    """The file without its beginning."""
    return lambda data: data[round(len(data) * share) :]


def flipped(seed: str, bits: int, within: float = 1.0) -> Change:
    """`bits` random bits of the first `within` of the file turned over."""

    def change(data: bytes) -> bytes:
        chance, damaged = random.Random(seed), bytearray(data)
        for _ in range(bits):
            damaged[chance.randrange(max(1, round(len(data) * within)))] ^= 1 << chance.randrange(8)
        return bytes(damaged)

    return change


def overwritten(seed: str, share: float, fill: bytes = b"\0") -> Change:
    """A stretch of the file, `share` of it, at a random place, filled with `fill`."""

    def change(data: bytes) -> bytes:
        length = round(len(data) * share)
        at = random.Random(seed).randrange(len(data) - length + 1)
        return data[:at] + (fill * length)[:length] + data[at + length :]

    return change


def replaced(old: bytes, new: bytes) -> Change:
    """Every `old` as `new`, of the same length: no index moves."""
    assert len(old) == len(new)

    def change(data: bytes) -> bytes:
        assert old in data, old
        return data.replace(old, new)

    return change


def matroska_duration(seconds: float) -> Change:
    """The header's duration as `seconds`, which may be no number at all."""

    def change(data: bytes) -> bytes:
        at = data.index(b"\x44\x89\x88") + 3  # the element Duration, 8 bytes of it
        return data[:at] + struct.pack(">d", seconds * 1000) + data[at + 8 :]

    return change


def wave_size(size: int) -> Change:
    """The header's length of the samples as `size` bytes."""

    def change(data: bytes) -> bytes:
        at = data.index(b"data") + 4
        return data[:at] + struct.pack("<I", size) + data[at + 4 :]

    return change


# -- MP4: a tree of boxes -----------------------------------------------------------------------------------------------


def box(name: bytes, content: bytes) -> bytes:
    """One box."""
    return struct.pack(">I", len(content) + 8) + name + content


def boxes(change: dict[bytes, Change]) -> Change:
    """Every box named in `change` with other content, sizes mended; the index has to lie behind the data, as ffmpeg puts it."""

    def rebuilt(data: bytes) -> bytes:
        made, at = b"", 0
        while at + 8 <= len(data):
            (size,) = struct.unpack_from(">I", data, at)
            name, content = data[at + 4 : at + 8], data[at + 8 : at + size]
            if name in _PARENTS:
                content = rebuilt(content)
            made += box(name, change[name](content) if name in change else content)
            at += size
        return made

    return rebuilt


def numbers(at: int, *values: int) -> Change:
    """32-bit `values` from byte `at` of a box's content on; its end stays where it was."""

    def change(content: bytes) -> bytes:
        packed = struct.pack(f">{len(values)}I", *values)
        return content[:at] + packed + content[at + len(packed) :]

    return change


def endless_table(samples: int) -> Change:
    """An index of a few bytes that promises `samples` samples, all alike."""
    return boxes({b"stsz": numbers(4, 1, samples), b"stsc": numbers(4, 1, 1, samples), b"stts": numbers(4, 1, samples)})


def elsewhere(path: Path) -> Change:
    """QuickTime's reference to a file that holds the samples (an alias record), instead of "they are in this file"."""
    name = str(path).encode()
    record = (
        bytes(10) + b"\4disk".ljust(28, b"\0") + bytes(12) + bytes([min(63, len(path.name))]) + path.name.encode()[:63].ljust(63, b"\0")
    )
    record += bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    record += struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + struct.pack(">HH", 0xFFFF, 0)
    return boxes({b"dref": lambda _: struct.pack(">II", 0, 1) + box(b"alis", bytes(4) + record)})


# -- AVI: a subtitle file inside ----------------------------------------------------------------------------------------


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def avi_with_text(text: bytes) -> bytes:
    """A second of sound and a GAB2 chunk: what FFmpeg reads as whatever format `text` looks like."""

    def stream(kind: bytes, rate: int, size: int, length: int, form: bytes) -> bytes:
        header = struct.pack("<4s4sIHHIIIIIIIIHHHH", kind, bytes(4), 0, 0, 0, 0, 1, rate, 0, length, 0, 0xFFFFFFFF, size, 0, 0, 0, 0)
        return _chunk(b"LIST", b"strl" + _chunk(b"strh", header) + _chunk(b"strf", form))

    pcm = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    main = struct.pack("<14I", 40000, 0, 0, 0x10, 25, 0, 2, 0, 64, 48, 0, 0, 0, 0)
    headers = b"hdrl" + _chunk(b"avih", main) + stream(b"auds", 8000, 2, 8000, pcm) + stream(b"txts", 1, 0, 1, b"")
    inner = b"GAB2\0" + struct.pack("<HI", 2, 2) + b"a\0" + struct.pack("<HI", 4, len(text)) + text
    samples = b"".join(struct.pack("<h", 6000 if (n // 10) % 2 else -6000) for n in range(8000))
    movi = b"movi" + _chunk(b"01tx", inner) + _chunk(b"00wb", samples)
    return _chunk(b"RIFF", b"AVI " + _chunk(b"LIST", headers) + _chunk(b"LIST", movi))
