"""What differs from script to script and matters to more than one stage."""

from __future__ import annotations

# Scripts that put no space between words: there, what a decoder calls a word is a character or two.
_UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km"})


def joiner(language: str) -> str:
    """What stands between two words of `language` (ISO 639 code)."""
    return "" if language in _UNSPACED else " "
