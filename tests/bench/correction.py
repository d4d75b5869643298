"""How the weights and the threshold of post-ner's decision were chosen, what they do on the tuning half, and how fast it is.

    native/venvs/post-ner/bin/python tests/bench/correction.py [--fit] [--speed] [--decoded DIR]

--fit: names of tests/data/cast.tsv are misspelt as recognisers misspell them (long for short vowels, aspirates dropped, v for w, …,
seeded) and put into the tuning half's sentences; among them stand names of people who are not in the glossary and the words of the
language down to rare ones. A logistic regression over what passes the guards gives the weights of spelling, sound and rarity; other
movies show what each threshold mends and spoils. The other weights (doubt, weight, case, risk, company, mentions, speaker) are set by
hand: such sentences say nothing about them. Held-out names are left out of everything.

--decoded DIR: a movie directory of tests/names/render.py's tuning half, decoded; what correction does to its names and words.

--speed: 12,000 words and 500 terms.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reelscribe import sounds
from reelscribe.artifacts import read_json
from reelscribe.schemas import Glossary, Segment, Term, Transcript, Word
from reelscribe.stage_table import NATIVE, ROOT

sys.path[:1] = [str(NATIVE / "stages"), str(ROOT / "tests" / "names")]
import name_set  # noqa: E402

from post_ner import candidates, correct, decision, frequency, targets, tokens  # noqa: E402
from post_ner.context import Film  # noqa: E402

FITTED = ("spelling", "sound", "rarity")
NO_SUPPORT = {"company": 0.0, "mentions": 0.0, "speaker": 0.0}
CAST_SIZE = 60
MOVIES = 40
# What recognisers (and people) write for one another in names, at one place in the word.
CONFUSED = [
    ("aa", "a"), ("a", "aa"), ("ee", "i"), ("i", "ee"), ("oo", "u"), ("u", "oo"), ("ai", "ay"), ("ay", "ai"), ("ey", "ay"), ("au", "o"),
    ("th", "t"), ("dh", "d"), ("bh", "b"), ("kh", "k"), ("gh", "g"), ("jh", "j"), ("ph", "f"), ("v", "w"), ("w", "v"), ("sh", "s"),
    ("s", "sh"), ("ch", "sh"), ("ck", "k"), ("k", "c"), ("c", "k"), ("z", "s"), ("y$", "i"), ("i$", "y"), ("ie$", "y"), ("e$", ""),
    ("(?<=[rtdn])$", "e"), ("a$", "ah"), ("h$", ""), ("n$", "m"), ("a", "u"), ("u", "a"), ("e", "a"), ("o", "a"), ("i", "e"), ("a", "e"),
    (r"([lmnrst])\1", r"\1"), ("(?<=[aeiou])([lmnrst])(?=[aeiou])", r"\1\1"), ("m", "n"), ("d", "t"), ("t", "d"), ("g", "k"), ("b", "p"),
]  # fmt: skip


def say(line: str = "") -> None:
    """A line of the report."""
    sys.stdout.write(line + "\n")


# -- material -----------------------------------------------------------------------------------------------------------


def people() -> list[str]:
    """Names of one word from the cast of 300, without those of the held-out half."""
    held_out = {word for name in name_set.names("held-out") for word in (name.name, *name.credit.split())}
    found = dict.fromkeys(word for credit in name_set.credits() for word in credit.split()[-2:])
    return [word for word in found if word not in held_out and word.isalpha() and len(word) >= 3]


def misspelt(name: str, chance: random.Random) -> str:
    """As a recogniser that does not know it may write `name`: one to three places otherwise, and sometimes in two words."""
    letters = name.lower()
    for _ in range(chance.choice((1, 1, 2, 2, 3))):
        pattern, other = chance.choice([c for c in CONFUSED if re.search(c[0], letters)] or [("$", "")])
        places = list(re.finditer(pattern, letters))
        place = chance.choice(places)
        letters = letters[: place.start()] + place.expand(other) + letters[place.end() :]
    if len(letters) >= 6 and chance.random() < 0.15:
        at = chance.choice([i for i in range(1, len(letters) - 1) if letters[i - 1] in "aeiou"] or [3])
        return f"{letters[:at].title()} {letters[at:].title()}"
    return letters.title()


def strangers(cast: Sequence[str], usage: frequency.Usage) -> list[str]:
    """Names that people bear, none of which sounds like one of the cast's: nobody could tell these apart."""
    from wordfreq import top_n_list

    heard = {sounds.key(name) for name in cast}
    borne = (
        word for word in top_n_list("en", 60000) if word.isalpha() and len(word) > 3 and usage.zipf(word) < 4.5 and usage.is_name(word)
    )
    others = (name.lower() for name in people() if name not in cast)
    return [word for word in (*others, *borne) if sounds.key(word) not in heard]


def movie(chance: random.Random, usage: frequency.Usage) -> tuple[list[Segment], list[dict[int, str]], list[str]]:
    """Segments, the true name of each misspelt word by its number (the first of two), and the cast."""
    from wordfreq import top_n_list

    everybody = people()
    cast = chance.sample(everybody, CAST_SIZE)
    others = strangers(cast, usage)
    rare = [word for word in top_n_list("en", 40000)[2000:] if word.isalpha() and not usage.is_name(word)]
    segments, truth = [], []
    marked = [row["text"] for row in name_set.table(name_set.HERE / "sentences.tsv") if row["half"] == "tuning"]
    for text in marked * 4:
        words: list[str] = []
        names: dict[int, str] = {}
        for word in text.split():
            found = re.fullmatch(r"(\W*)\[(.+?)\](\W*)", word)
            if not found:
                # Most ordinary words are frequent ones: every fifth is made a rarer one.
                words.append(chance.choice(rare) if chance.random() < 0.2 and word.islower() else word)
            elif chance.random() < 0.5:
                words.append(f"{chance.choice(others).title()}{found[3]}")
            else:
                name = chance.choice(cast)
                names[len(words)] = name
                words += f"{misspelt(name, chance)}{found[3]}".split()
        timed = [Word(word=w, start=i / 3, end=(i + 1) / 3) for i, w in enumerate(words)]
        segments.append(Segment(id=len(segments), start=0, end=len(words) / 3, text=" ".join(words), words=timed))
        truth.append(names)
    return segments, truth, cast


def glossary_of(names: Sequence[str], usage: frequency.Usage) -> Glossary:
    """Characters; risky are those that people use as words."""
    terms = [
        Term(text=n, kind="character", weight=0.7, source="bench", risky={n: n.lower()} if usage.zipf(n.lower()) >= 3.5 else {})
        for n in names
    ]
    return Glossary(terms=terms, pipeline="bench")


# -- the fit ------------------------------------------------------------------------------------------------------------


def pairs(usage: frequency.Usage) -> Iterator[tuple[dict[str, float], bool]]:
    """The features of everything that passes the guards, and whether it is right; written with and without capitals."""
    for seed in range(MOVIES):
        segments, truth, cast = movie(random.Random(seed), usage)
        cased = seed % 2 == 0
        wanted = targets.from_glossary(glossary_of(cast, usage), usage)
        rows = [[tokens.parse(word.word) for word in segment.words] for segment in segments]
        film = Film(segments, rows, cased=cased, language="en", names={})
        stretches = [list(candidates.stretches(row)) for row in rows]
        near = candidates.near((s.keys for row in stretches for s in row), wanted, usage)
        for number, row in enumerate(stretches):
            for first, last, keys in row:
                heard = decision.Heard(keys, None, film.case(number, first), film.ordinary(number, first, last))
                for target in near.get(keys, ()):
                    if "".join(keys) != target.key and not decision.guard(heard, target, usage):
                        scores = decision.decide(heard, target, usage, NO_SUPPORT).scores
                        yield scores, truth[number].get(first, "").lower() == target.key


def fit(usage: frequency.Usage) -> None:
    """Weights and threshold, printed."""
    found = list(pairs(usage))
    features = np.array([[scores[name] for name in FITTED] for scores, _ in found])
    right = np.array([is_right for _, is_right in found], dtype=float)
    say(f"{len(found)} pairs passed the guards, {int(right.sum())} of them right")
    weights = logistic(features, right)
    scale = sum(decision.WEIGHTS[name] for name in ("spelling", "sound", "rarity")) / weights[:3].sum()
    say("feature     fitted   scaled   in use")
    for name, weight in zip(FITTED, weights, strict=False):
        say(f"{name:10} {weight:7.2f} {weight * scale:8.3f} {decision.WEIGHTS[name]:8.3f}")
    say(f"{'intercept':10} {weights[-1]:7.2f} {weights[-1] * scale:8.3f}")
    thresholds(usage)


def logistic(features: Any, right: Any, *, ridge: float = 1.0) -> Any:
    """(num_features + 1,) coefficients, the intercept last; features: (num_pairs, num_features). Newton's method with a ridge penalty."""
    x = np.hstack([features, np.ones((len(features), 1))])
    penalty = ridge * np.diag([1.0] * features.shape[1] + [0.0])
    weights = np.zeros(x.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - right) + penalty @ weights
        weights = weights - np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, gradient)
    return weights


def thresholds(usage: frequency.Usage) -> None:
    """Recall of names and false corrections for each threshold, on movies that the fit did not see."""
    say("threshold  names mended  false per 1,000 words")
    in_use = decision.THRESHOLD
    for threshold in (0.55, 0.60, 0.65, 0.70, 0.75, 0.80, 0.85):
        decision.THRESHOLD = threshold
        mended = names = wrong = words = 0
        for seed in range(MOVIES, MOVIES + 12):
            segments, truth, cast = movie(random.Random(seed), usage)
            _, ledger = correct.Corrector(glossary_of(cast, usage), usage, cased=seed % 2 == 0).correct(segments)
            good = sum(is_right(c.written, c.heard, truth[c.segment]) for c in ledger.corrections)
            mended, names = mended + good, names + sum(map(len, truth))
            wrong, words = wrong + len(ledger.corrections) - good, words + sum(len(s.words) for s in segments)
        mark = "  <- in use" if threshold == in_use else ""
        say(f"{threshold:9.2f} {mended / names:12.1%} {1000 * wrong / words:14.2f}{mark}")
    decision.THRESHOLD = in_use


def is_right(written: str, heard: str, truth: dict[int, str]) -> bool:
    """Whether a misspelt name of the segment was mended to itself."""
    return written in truth.values() and heard != written


# -- speech -------------------------------------------------------------------------------------------------------------


def decoded(movie_dir: Path, usage: frequency.Usage) -> None:
    """What correction changes in a decoded tuning half."""
    transcript = read_json(movie_dir / "transcription/transcript.json", Transcript)
    glossary = read_json(movie_dir / "glossary/glossary.json", Glossary)
    cased = correct.is_cased(transcript.segments) and not transcript.draft
    _, ledger = correct.Corrector(glossary, usage, cased=cased).correct(transcript.segments)
    for change in ledger.corrections:
        text = transcript.segments[change.segment].text
        say(f"{change.start:7.2f} {change.heard} => {change.written} ({change.rule}, {change.scores['score']:.2f}): {text}")
    say(json.dumps({"corrections": len(ledger.corrections), "words": sum(len(s.words) for s in transcript.segments)}))


def speed(usage: frequency.Usage) -> None:
    """12,000 words, a tenth of them misspelt names or strangers, and 500 terms."""
    chance = random.Random(0)
    segments: list[Segment] = []
    names: list[str] = []
    while sum(len(s.words) for s in segments) < 12000:
        more, _, cast = movie(chance, usage)
        segments += [s.model_copy(update={"id": len(segments) + i}) for i, s in enumerate(more)]
        names += cast
    given = people()
    full = list(dict.fromkeys(f"{one} {other}" for one in given for other in given[::7]))
    chance.shuffle(full)
    glossary = glossary_of(full[:500], usage)
    for attempt in ("first, word lists still to be read", "again"):
        started, busy = time.perf_counter(), time.process_time()
        corrector = correct.Corrector(glossary, frequency.Usage("en") if attempt != "again" else usage, cased=True)
        _, ledger = corrector.correct(segments)
        seconds, busy = time.perf_counter() - started, time.process_time() - busy
        words = sum(len(s.words) for s in segments)
        taken = f"{seconds:.2f} s, {busy:.2f} s of processor ({attempt})"
        say(f"{words} words, {len(glossary.terms)} terms, {len(ledger.corrections)} corrections: {taken}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--decoded", type=Path, action="append", default=[])
    arguments = parser.parse_args()
    usage = frequency.Usage("en")
    if arguments.speed:
        speed(usage)
    if arguments.fit:
        fit(usage)
    for movie_dir in arguments.decoded:
        say(f"-- {movie_dir.name}")
        decoded(movie_dir, usage)


if __name__ == "__main__":
    main()
