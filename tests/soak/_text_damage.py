"""Ways to damage a text file. Each takes the file's path and a source of chance, and leaves something else in its place."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path, random.Random], None]


def _bytes(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    return lambda path, chance: _replace(path, change(path.read_bytes(), chance))


def _replace(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _flipped(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _zero_block(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    end = min(len(content), start + chance.randint(1, 512))
    return content[:start] + bytes(end - start) + content[end:]


def _spliced(piece: bytes) -> Damage:
    def splice(content: bytes, chance: random.Random) -> bytes:
        at = chance.randrange(len(content))
        return content[:at] + piece + content[at:]

    return _bytes(splice)


# -- JSON ---------------------------------------------------------------------------------------------------------------


def _leaf(value: Any, chance: random.Random) -> tuple[Any, Any]:
    """A place in a JSON value: its container and the key in it; (None, None) where there is none."""
    container, key = None, None
    while isinstance(value, (dict, list)) and value:
        key = chance.choice(sorted(value)) if isinstance(value, dict) else chance.randrange(len(value))
        container, value = value, value[key]
        if chance.random() < 0.1:
            break
    return container, key


def _leaves(value: Any, kind: type | tuple[type, ...]) -> list[tuple[Any, Any]]:
    """Every place that holds a `kind`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = []
    for key, item in list(items):
        if isinstance(item, kind) and not isinstance(item, bool):
            found.append((value, key))
        found += _leaves(item, kind)
    return found


def _json(change: Callable[[Any, random.Random], None]) -> Damage:
    """Changes the parsed file in place; what is no JSON becomes some."""

    def damage(path: Path, chance: random.Random) -> None:
        try:
            value = json.loads(path.read_bytes())
        except ValueError:
            value = {"text": path.read_text(encoding="utf-8", errors="replace")}
        change(value, chance)
        _replace(path, json.dumps(value).encode())

    return damage


def _other_type(value: Any, chance: random.Random) -> None:
    container, key = _leaf(value, chance)
    if container is not None:
        container[key] = chance.choice([None, True, 0, -1, "", "text", [], {}, [[]], {"": None}, 1.5])


def _key_gone(value: Any, chance: random.Random) -> None:
    container, key = _leaf(value, chance)
    if container is not None:
        del container[key]


def _number(*numbers: Any) -> Damage:
    def change(value: Any, chance: random.Random) -> None:
        if places := _leaves(value, (int, float)):
            container, key = chance.choice(places)
            container[key] = chance.choice(numbers)

    return _json(change)


def _text(*texts: str) -> Damage:
    def change(value: Any, chance: random.Random) -> None:
        if places := _leaves(value, str):
            container, key = chance.choice(places)
            container[key] = chance.choice(texts)

    return _json(change)


def _newer(value: Any, chance: random.Random) -> None:
    value["schema_version"] = 99


def _no_version(value: Any, chance: random.Random) -> None:
    value["schema_version"] = chance.choice([None, "one", [], {}, -1, 0])


def _twice(content: bytes, chance: random.Random) -> bytes:
    """The first key a second time, with another value."""
    name = content.split(b'"')[1] if content.count(b'"') > 1 else b"segments"
    return content.rstrip()[:-1] + b', "' + name + b'": 7}'


# -- in its place -------------------------------------------------------------------------------------------------------


def _instead(make: Callable[[Path], None]) -> Damage:
    def damage(path: Path, chance: random.Random) -> None:
        path.unlink()
        make(path)

    return damage


def _linked_outside(path: Path, chance: random.Random) -> None:
    """The very file, moved out of the movie directory and linked: into `outside`, beside the movie."""
    target = next(folder for folder in path.parents if (folder / "outside").is_dir()) / "outside" / path.name
    path.rename(target)
    path.symlink_to(target)


_HOSTILE = (r"{\an8\p1}m 0 0 l 9 9", "</script><script>1", "a --> b", "\u202ecod.exe", "nul\0nul", "\ud800", "../../../x", "$(id);`id`")

# Of these nothing can be read, whatever the file was.
HOPELESS: dict[str, Damage] = {
    "cut": _bytes(lambda content, chance: content[: chance.randrange(1, max(2, len(content) - 2))]),
    "zeroed": _bytes(lambda content, chance: bytes(len(content))),
    "emptied": _bytes(lambda content, chance: b""),
    "nested deeply": _bytes(lambda content, chance: b"[" * 100_000),
    "nested in a key": _bytes(lambda content, chance: b'{"notes": ' + b"[" * 900 + b"]" * 900 + b"}"),
    "UTF-16": _bytes(lambda content, chance: content.decode("utf-8", "replace").encode("utf-16")),
    "another program's": _bytes(lambda content, chance: b"\x89PNG\r\n\x1a\n" + chance.randbytes(4000)),
    "HTML": _bytes(lambda content, chance: b"<!DOCTYPE html><title>404</title>" + content),
    "a list": _bytes(lambda content, chance: b"[1, 2, 3]"),
}
# What the file system has instead of a file.
PLACES: dict[str, Damage] = {
    "a folder": _instead(lambda path: path.mkdir()),
    "a pipe": _instead(lambda path: os.mkfifo(path)),
    "a loop": _instead(lambda path: path.symlink_to(path.name)),
    "a dangling link": _instead(lambda path: path.symlink_to("nowhere/at/all")),
    "a link out": _linked_outside,
}
NEWER: dict[str, Damage] = {"schema 99": _json(_newer)}
# These may leave a file that can be read, and then it is as if somebody had edited it.
DOUBTFUL: dict[str, Damage] = {
    "bits flipped": _bytes(_flipped),
    "a block of zeros": _bytes(_zero_block),
    "another type": _json(_other_type),
    "a key missing": _json(_key_gone),
    "huge numbers": _number(1e308, -1e308, 10**30, -(10**30), 2**63, 10**400),
    "strange numbers": _number(-1, 0, -0.0, 1e-320, 999_999),
    "not a number": _number(float("nan"), float("inf"), float("-inf")),
    "hostile text": _text(*_HOSTILE),
    "endless text": _text("x" * 3_000_000, "\n" * 100_000),
    "invalid UTF-8": _spliced(b"\xff\xc3"),
    "a control character": _spliced(b"\x00"),
    "byte order mark": _bytes(lambda content, chance: b"\xef\xbb\xbf" + content),
    "CRLF": _bytes(lambda content, chance: content.replace(b"\n", b"\r\n")),
    "a key twice": _bytes(_twice),
    "no version": _json(_no_version),
    "text behind it": _bytes(lambda content, chance: content + b"\n}]"),
}
EVERY = HOPELESS | PLACES | NEWER | DOUBTFUL
