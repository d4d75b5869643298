"""What a Whisper is told about a window: its terms as a prompt of one of a few lengths, and whether the answer only echoes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Encode = Callable[[str], list[int]]

# Of 448 positions Whisper keeps half for what was said before, which begins with <|startofprev|>:
# https://github.com/openai/whisper/blob/main/whisper/decoding.py (DecodingTask._get_initial_tokens).
MAX_TOKENS = 223
# With <|startofprev|> a prompt is a multiple of this long. Windows decode together when their prompts are equally long; a length that
# follows from a window's own terms keeps it independent of its neighbours. What is filled up is less than most names are long.
_STEP = 8
# So many terms in a row, as they stand in the prompt, are no talk.
_ECHOED_TERMS = 3


@dataclass(frozen=True)
class Prompt:
    """tokens: what goes between <|startofprev|> and <|startoftranscript|>; terms: those it holds, the most important first."""

    tokens: tuple[int, ...] = ()
    terms: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As the decoder reads it: the most important last, next to the transcript, where no truncation reaches."""
        return ", ".join(reversed(self.terms))


def fit(terms: Sequence[str], encode: Encode, *, prompt_max: int, hotword_max: int, budget: int = MAX_TOKENS) -> Prompt:
    """The prompt for `terms` (the most important first), in at most `budget` tokens.

    The `prompt_max` most important terms stand next to the transcript, before them the hotwords: those of the `hotword_max` most important
    that are not there yet. What does not fit is left out, the least important first.
    """
    prompt = list(terms[:prompt_max])
    wanted = dict.fromkeys(prompt + list(terms[:hotword_max]))
    kept = [term for term in wanted if term.strip() and len(encode(" " + term)) <= budget]
    while kept:
        tokens = encode(" " + Prompt(terms=tuple(kept)).text)
        if len(tokens) <= budget:
            return Prompt(tuple(_filled(tokens, Prompt(terms=tuple(kept)).text, encode, budget)), tuple(kept))
        kept.pop()
    return Prompt()


def _filled(tokens: list[int], text: str, encode: Encode, budget: int) -> list[int]:
    """`tokens` at the next of the lengths in use. In front comes the end of the same text, as of an earlier sentence that was cut off."""
    length = min(budget, -(-(len(tokens) + 1) // _STEP) * _STEP - 1)
    missing = length - len(tokens)
    if not missing:
        return tokens
    before = encode(f" {text},")
    repeated = before * (missing // len(before) + 1)
    return repeated[-missing:] + tokens


def is_echo(text: str, prompt: Prompt) -> bool:
    """Whether `text` repeats the prompt: several of its terms in just its order, or nothing but two neighbouring ones."""
    order = [_words(term) for term in reversed(prompt.terms)]
    heard = _words(text)
    longest = max((_terms_in_a_row(heard[at:], order[first:]) for at in range(len(heard)) for first in range(len(order))), default=0)
    if longest >= _ECHOED_TERMS:
        return True
    return longest == 2 and any(heard == first + second for first, second in pairwise(order))


def _terms_in_a_row(heard: Sequence[str], order: Sequence[Sequence[str]]) -> int:
    """How many terms of `order` the words in `heard` begin with."""
    at = count = 0
    for term in order:
        if not term or list(heard[at : at + len(term)]) != list(term):
            break
        at += len(term)
        count += 1
    return count


def _words(text: str) -> list[str]:
    return re.findall(r"[^\s,.;:!?…।\"'()-]+", text.casefold())
