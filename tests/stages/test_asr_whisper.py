"""What surrounds a Whisper, whichever engine runs it: prompts, echoes, gates, votes, fallbacks, rests, translations."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import pytest

from asr import bias, gates, languages
from asr.engines import Load
from asr.engines.whisper import Hypothesis, TimedWord, Whisper, link, split
from reelscribe.schemas import Plan, Segment, Span, Window, Word


def by_three(text):
    """Stands in for a tokenizer: a token for every three letters of a word, with the space before it."""
    found = []
    for word in text.replace(",", " ,").split():
        found += [zlib.crc32(word[at : at + 3].encode()) for at in range(0, len(word), 3)]
    return found


def fit(terms, prompt_max=20, hotword_max=50, budget=bias.MAX_TOKENS):
    return bias.fit(terms, by_three, prompt_max=prompt_max, hotword_max=hotword_max, budget=budget)


# -- prompts ------------------------------------------------------------------------------------------------------------


def test_the_most_important_term_is_the_last():
    prompt = fit(["Ilsa", "Rick", "Casablanca"])
    assert prompt.text == "Casablanca, Rick, Ilsa"
    assert list(prompt.tokens[-len(by_three(prompt.text)) :]) == by_three(prompt.text)


@pytest.mark.parametrize("count", range(1, 40, 3))
def test_a_prompt_has_one_of_a_few_lengths_within_the_budget(count):
    prompt = fit([f"Name{n}" for n in range(count)])
    assert (len(prompt.tokens) + 1) % 8 == 0 and len(prompt.tokens) <= bias.MAX_TOKENS
    assert len(prompt.tokens) - len(by_three(prompt.text)) < 8


def test_the_least_important_terms_go_when_there_is_no_room():
    names = [f"Name{n:02d}" for n in range(100)]
    prompt = fit(names, prompt_max=100, hotword_max=100)
    assert list(prompt.terms) == names[: len(prompt.terms)]
    assert len(by_three(prompt.text)) <= bias.MAX_TOKENS < len(by_three(", ".join(names[: len(prompt.terms) + 1])))


def test_a_term_that_never_fits_is_left_out_and_the_others_are_kept():
    assert fit(["x" * 3000, "Ilsa"]).terms == ("Ilsa",)
    assert fit(["x" * 3000]) == fit([]) == fit(["  "]) == bias.Prompt()


def test_prompt_and_hotwords_have_limits_of_their_own():
    names = [f"N{n}" for n in range(60)]
    assert len(fit(names).terms) == 50
    assert len(fit(names, prompt_max=20, hotword_max=0).terms) == 20
    assert fit(names, prompt_max=0, hotword_max=0) == bias.Prompt()


@pytest.mark.parametrize(
    ("text", "echo"),
    [
        ("Victor, Rick, Ilsa Lund.", True),  # as the prompt has them
        ("Victor Rick Ilsa Lund and then some", True),
        ("Rick, Ilsa Lund.", True),
        ("Ilsa Lund.", False),  # somebody calls
        ("Ilsa Lund, Rick and Victor are here.", False),  # another order
        ("I saw Rick. Ilsa Lund was with him.", False),
        ("", False),
    ],
)
def test_an_echo_of_the_prompt_is_told_from_talk(text, echo):
    assert bias.is_echo(text, bias.Prompt((1,), ("Ilsa Lund", "Rick", "Victor", "Sam"))) is echo


# -- gates --------------------------------------------------------------------------------------------------------------

TALK = "Of all the gin joints in all the towns in all the world, she walks into mine."

HINDI = (
    "मैं कल शाम को स्टेशन पर तुम्हारा इंतज़ार कर रहा था, पर तुम नहीं आईं। मैंने सोचा कि शायद गाड़ी देर से आई होगी, "
    "इसलिए मैं वहीं बैठा रहा। फिर बारिश शुरू हो गई और सब लोग घर चले गए। आज सुबह माँ ने बताया कि तुम पुल के रास्ते "
    "बाज़ार चली गई थीं। अगर तुम मुझे पहले ही बता देतीं तो मैं भी तुम्हारे साथ चलता। "
    "अब रात हो गई है, और कल सुबह हमें फिर स्टेशन जाना है।"
)


def text_verdicts(text, logprob=-0.3, no_speech=0.01, seconds=6.0):
    return gates.of_text(text, logprob, no_speech, [Span(start=0, end=seconds)])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (text_verdicts(TALK), []),
        (text_verdicts(""), ["nothing heard"]),
        (text_verdicts("", seconds=1.5), []),
        (text_verdicts("", no_speech=0.8), []),
        (text_verdicts("No, no, no, no!"), []),
        (text_verdicts(TALK, logprob=-1.2), ["unsure"]),
        (text_verdicts(TALK, logprob=-1.2, no_speech=0.8), ["no-speech"]),
        (text_verdicts(TALK, no_speech=0.8), []),
        (text_verdicts(TALK, seconds=1.0), ["too fast"]),
        (text_verdicts("Thank you for watching. " * 3), ["loop"]),
        (text_verdicts("Thank you for watching. " * 12, seconds=30), ["repetitive", "loop"]),
        (text_verdicts("la la la la la la"), ["loop"]),
        (text_verdicts("मैं स्टेशन पर हूँ और तुम कहाँ हो?"), []),
        (text_verdicts(HINDI, seconds=30), []),  # in UTF-8 it is 2.5 times as long as zlib makes it
        (text_verdicts("मैं कल शाम को स्टेशन पर था। " * 9, seconds=30), ["repetitive", "loop"]),
    ],
)
def test_a_verdict_names_what_is_wrong(found, expected):
    assert found == expected


def segment(text, start, end, *words):
    return Segment(id=0, start=start, end=end, text=text, words=[Word(word=w, start=s, end=e) for w, s, e in words])


def test_words_where_nobody_speaks_are_outside():
    speech = [Span(start=10, end=12)]
    assert gates.of_segment(segment("Hello there", 10, 12, ("Hello", 10, 10.5), ("there", 11, 11.5)), speech) == []
    assert gates.of_segment(segment("Hello there", 15, 17, ("Hello", 15, 15.5), ("there", 16, 16.5)), speech) == ["outside speech"]


def test_forty_letters_in_a_tenth_of_a_second_are_too_fast():
    assert gates.of_segment(segment(TALK, 10, 10.1), [Span(start=10, end=12)]) == ["too fast"]


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        ([segment(TALK, 0, 4), segment(TALK, 4.5, 10)], False),
        ([segment(TALK, 0, 3), segment(TALK, 5.1, 10)], True),  # two seconds of speech between them
        ([segment(TALK, 2.1, 10)], True),  # and before the first
        ([segment(TALK, 0, 5)], False),  # what is after the last is decoded as the rest
        ([segment("No.", 0, 1.2)], False),
        ([segment("Of all the gin joints in all the world.", 0, 10)], True),  # three letters a second
        ([], False),
    ],
)
def test_talk_that_was_left_out_is_noticed(segments, expected):
    assert gates.lost(segments, [Span(start=0, end=10)]) is expected


def test_silence_between_segments_is_no_talk():
    assert gates.lost([segment(TALK, 0, 3), segment(TALK, 13, 16)], [Span(start=0, end=3.5), Span(start=12.5, end=16)]) is False


# -- languages ----------------------------------------------------------------------------------------------------------


def window(number, start, end, terms=()):
    return Window(id=number, start=start, end=end, speech=[Span(start=start, end=end)], terms=list(terms))


def test_a_song_in_another_language_is_outvoted():
    windows = [window(0, 0, 20), window(1, 30, 35), window(2, 40, 60)]
    shares = languages.vote(windows, [{"hi": 0.9, "en": 0.1}, {"en": 1.0}, {"hi": 0.8, "ur": 0.2}])
    assert list(shares) == ["hi", "en", "ur"] and sum(shares.values()) == pytest.approx(1, abs=0.005)


def test_no_more_than_nine_windows_vote_and_those_with_most_speech():
    windows = [window(n, n * 30, n * 30 + (25 if n % 4 == 1 else 5)) for n in range(36)]
    plan = Plan(duration=2000, speech=[], windows=windows, chunks=[], terms=[])
    assert [w.id for w in languages.voters(plan)] == list(range(1, 36, 4))
    assert languages.voters(Plan(duration=0, speech=[], windows=[], chunks=[], terms=[])) == []


@pytest.mark.parametrize(
    ("heard", "expected"),
    [({"hi": 0.96, "en": 0.02}, "hi"), ({"hi": 0.7, "en": 0.2}, "en"), ({"hi": 0.92, "en": 0.08}, "en"), ({}, "en")],
)
def test_a_window_is_in_another_language_when_that_is_sure(heard, expected):
    assert languages.of_window(heard, "en") == expected


# -- decoding, with a network that does as it is told to fail -----------------------------------------------------------

SOT_PREV, SOT, EOT, TIMES = 900, 901, 902, 1000


class Letters:
    """A tokenizer whose tokens are characters."""

    sot_prev, eot, timestamp_begin = SOT_PREV, EOT, TIMES

    def __init__(self, language, task):
        self.sot_sequence = [SOT, 903 + len(language), 910 + len(task)]
        self.task = task

    def encode(self, text):
        return [ord(c) for c in text]

    def decode(self, tokens):
        return "".join(chr(t) for t in tokens if t < 900)

    def split_to_word_tokens(self, tokens):
        words = [" " + word for word in self.decode(tokens).split()]
        return [*words, ""], [*([ord(c) for c in word] for word in words), [EOT]]


def said(*pieces, logprob=-0.2, full=False):
    """A hypothesis of (start, end, text); seconds in the window."""
    tokens = []
    for start, end, text in pieces:
        tokens += [TIMES + round(start / 0.02), *(ord(c) for c in f" {text}"), *([] if end is None else [TIMES + round(end / 0.02)])]
    return Hypothesis(tokens, logprob, 0.01, full)


@dataclass
class Script:
    """A network that says what the test has it say. biased, plain: without chance, with and without a prompt; chance: by temperature."""

    biased: Hypothesis
    plain: Hypothesis | None = None
    chance: dict = field(default_factory=dict)
    rest: Hypothesis | None = None
    languages: frozenset = frozenset({"en", "hi"})
    heard: dict = field(default_factory=lambda: {"en": 0.99})
    translated: Hypothesis | None = None
    asked: list = field(default_factory=list)
    timed: list = field(default_factory=list)

    def tokenizer(self, language, task):
        return Letters(language, task)

    def encode(self, samples):
        return [len(x) / 16000 for x in samples]

    def hear_languages(self, features):
        return [self.heard for _ in features]

    def decode(self, features, prompts):
        assert len({len(prompt) for prompt in prompts}) == 1
        self.asked += prompts
        if self.translated and prompts[0][-1] == 910 + len("translate"):
            return [self.translated for _ in features]
        if self.rest and features[0] < 9.9:
            return [self.rest for _ in features]
        return [self.biased if prompt[0] == SOT_PREV or not self.plain else self.plain for prompt in prompts]

    def start_sampling(self, seed):
        self.asked.append(("seed", seed))

    def sample(self, features, prompt, temperature):
        self.asked.append(("chance", temperature))
        return self.chance.get(temperature, self.biased)

    def times(self, features, tokenizer, prompts, texts, seconds):
        self.timed += prompts
        found = []
        for text, length in zip(texts, seconds, strict=True):
            words, tokens = tokenizer.split_to_word_tokens(text)
            step = length / max(1, len(words))
            found.append(
                [TimedWord(w, len(t), n * step, n * step + step, 0.9) for n, (w, t) in enumerate(zip(words[:-1], tokens, strict=False))]
            )
        return found


def decode(script, *, terms=("Ilsa", "Rick", "Victor"), seconds=10, **load):
    whisper = Whisper(Load(backend="script", model="", language="en", **load), script)
    (found,) = whisper.decode([window(4, 100, 100 + seconds, terms)], [np.zeros(seconds * 16000, np.float32)])
    return found


GOOD = said((1.0, 4.0, "Play it once, Sam."), (5.0, 9.6, "For old times' sake."))


GAP = said((0.0, 1.0, "Play it once, Sam."), (8.6, 9.6, "For old times' sake."))


def test_talk_that_is_lost_with_the_prompt_is_heard_without():
    full = said((0.0, 4.0, "Play it once, Sam. If she can stand it,"), (5.0, 9.6, "so can I. Play it for old times' sake."))
    found = decode(Script(GAP, full))
    assert [s.text for s in found.segments] == ["Play it once, Sam. If she can stand it,", "so can I. Play it for old times' sake."]
    assert (found.redone, found.terms) == (["talk lost"], [])


def test_a_little_more_without_the_prompt_is_not_worth_the_names():
    found = decode(Script(GAP, said((0.0, 4.0, "Play it once, Samuel."), (5.0, 9.6, "For old times' sake."))))
    assert (found.segments[0].text, found.redone, found.terms) == ("Play it once, Sam.", [], ["Ilsa", "Rick", "Victor"])


def test_segments_are_on_the_movies_timeline():
    found = decode(Script(GOOD))
    assert [(s.id, s.start, s.end, s.text) for s in found.segments] == [
        (0, 101.0, 104.0, "Play it once, Sam."),
        (1, 105.0, 109.6, "For old times' sake."),
    ]
    assert [w.word for w in found.segments[0].words] == ["Play", "it", "once,", "Sam."]
    assert all(s.start <= w.start <= w.end <= s.end for s in found.segments for w in s.words)
    assert (found.terms, found.redone, found.marks) == (["Ilsa", "Rick", "Victor"], [], [])
    assert all((s.window, s.terms, s.redone) == (4, found.terms, []) for s in found.segments)


def test_an_echo_is_decoded_again_without_the_prompt_and_says_so():
    script = Script(said((0.0, 9.6, "Victor, Rick, Ilsa.")), plain=GOOD)
    found = decode(script)
    assert found.segments[0].text == "Play it once, Sam."
    assert found.redone == ["echo"] and found.terms == [] and found.segments[0].redone == ["echo"]
    assert [prompt[0] for prompt in script.asked] == [SOT_PREV, SOT]


def test_an_echo_by_chance_is_no_better():
    echo = said((0.0, 9.6, "Victor, Rick, Ilsa."))
    found = decode(Script(said((0.0, 9.6, TALK), logprob=-1.4), chance={0.2: echo, 0.4: GOOD}))
    assert (found.segments[0].text, found.scores["temperature"]) == ("Play it once, Sam.", 0.4)


def test_what_a_gate_refuses_is_decoded_by_chance_from_a_fixed_seed():
    loop = said((0.0, 9.6, "Here we go again. " * 9))
    script = Script(loop, chance={0.2: loop, 0.4: GOOD})
    found = decode(script)
    assert found.segments[0].text == "Play it once, Sam."
    assert script.asked[1:] == [("seed", 5), ("chance", 0.2), ("chance", 0.4)]
    assert found.scores["temperature"] == 0.4 and found.marks == [] and "loop" in found.redone


def test_what_fails_all_fallbacks_is_kept_and_marked():
    script = Script(said((0.0, 9.6, TALK), logprob=-1.4))
    found = decode(script)
    assert [s.text for s in found.segments] == [TALK]
    assert found.marks == ["unsure"] == found.segments[0].marks
    assert found.terms == ["Ilsa", "Rick", "Victor"]
    assert sum(asked[0] == "chance" for asked in script.asked) == 5


def test_a_segment_with_a_wrong_end_is_marked_and_the_window_kept():
    # Decoding all of it by chance lost sentences, and names with the prompt.
    script = Script(said((1.0, 1.3, "Play it once more, Sam, and sing it."), (5.0, 9.6, "For old times' sake, Ilsa.")))
    found = decode(script)
    assert [(s.text, s.marks) for s in found.segments] == [
        ("Play it once more, Sam, and sing it.", ["too fast"]),
        ("For old times' sake, Ilsa.", []),
    ]
    # Once more without the prompt, for the gap after it, and nothing by chance.
    assert len(script.asked) == 2 and found.redone == [] and found.terms == ["Ilsa", "Rick", "Victor"]


def test_without_the_prompt_is_the_last_thing_that_is_tried():
    found = decode(Script(said((0.0, 9.6, TALK), logprob=-1.4), plain=GOOD))
    assert (found.segments[0].text, found.terms, found.redone) == ("Play it once, Sam.", [], ["unsure"])


def test_speech_after_the_last_segment_is_decoded_too():
    found = decode(Script(said((1.0, 4.0, "Play it once, Sam.")), rest=said((1.0, 5.8, "For old times' sake."))))
    assert [(s.start, s.end, s.text) for s in found.segments] == [
        (101.0, 104.0, "Play it once, Sam."),
        (105.0, 109.8, "For old times' sake."),
    ]
    assert [s.redone for s in found.segments] == [[], ["rest"]]


def test_a_context_that_is_full_is_continued_where_it_last_knew_the_time():
    full = said((1.0, 4.0, "Play it once, Sam."), (4.0, None, "For old ti"), full=True)
    found = decode(Script(full, rest=said((0.5, 5.8, "For old times' sake."))))
    assert [s.text for s in found.segments] == ["Play it once, Sam.", "For old times' sake."]


def test_where_nothing_was_heard_the_prompt_may_be_the_reason():
    found = decode(Script(said(), plain=GOOD))
    assert (found.segments[0].text, found.redone) == ("Play it once, Sam.", ["nothing heard"])
    # Also when the model is sure that nobody speaks: a detector heard somebody.
    found = decode(Script(Hypothesis([], -0.1, 0.9), plain=GOOD))
    assert (found.segments[0].text, found.redone) == ("Play it once, Sam.", ["nothing heard"])
    nothing = decode(Script(said()))
    assert (nothing.segments, nothing.marks) == ([], ["nothing heard"])


def test_a_window_without_speech_is_told_nothing():
    script = Script(GOOD)
    whisper = Whisper(Load(backend="script", model="", language="en"), script)
    list(whisper.decode([Window(id=0, start=0, end=10, speech=[], terms=["Ilsa"])], [np.zeros(160000, np.float32)]))
    assert script.asked[0][0] == SOT


def test_a_window_is_given_as_soon_as_it_is_settled():
    # A worker that says nothing for long is taken for hung: what a whole batch takes must not add up.
    loop = said((0.0, 9.6, "Here we go again. " * 9))
    script = Script(loop, chance={0.2: GOOD})
    whisper = Whisper(Load(backend="script", model="", language="en"), script)
    decoded = whisper.decode([window(n, 10 * n, 10 * n + 10) for n in range(3)], [np.zeros(160000, np.float32)] * 3)
    assert [(found.window, sum(asked[0] == "chance" for asked in script.asked)) for found in decoded] == [(0, 1), (1, 2), (2, 3)]


def test_tokens_without_an_end_last_to_the_end():
    assert [(s.start, s.end, s.closed) for s in split([TIMES + 50, 65, 66, TIMES + 100, TIMES + 100, 67], TIMES, 9.0)] == [
        (1.0, 2.0, True),
        (2.0, 9.0, False),
    ]
    assert split([], TIMES, 9.0) == []


def test_what_lasts_no_time_or_is_said_after_the_end_is_left_out():
    phantom, late = (TIMES + 100, 66, TIMES + 100), (TIMES + 450, 68, TIMES + 460)
    assert [s.tokens for s in split([TIMES, 65, *phantom, TIMES + 100, 67, TIMES + 200, *late, TIMES + 460, 69], TIMES, 9.0)] == [
        [65],
        [67],
    ]


def test_words_are_timed_after_the_prompt_they_were_heard_with():
    # Without it a name that only the prompt made likely has no probability.
    script = Script(GOOD)
    decode(script)
    assert script.timed == script.asked and script.timed[0][0] == SOT_PREV
    # A prompt and a text that do not fit into the decoder together: of a context that is full the text matters.
    names = [f"name {n:02}" for n in range(24)]
    script = Script(said((0.0, 30.0, "I told you so, and I tell you once again. " * 6)), plain=GOOD)
    decode(script, terms=names, prompt_max_terms=24, seconds=30)
    assert len(script.asked[0]) > 200 and script.timed[0] == script.asked[0][-3:]


# -- translation --------------------------------------------------------------------------------------------------------


def test_a_foreign_window_is_transcribed_and_translated():
    script = Script(GOOD, translated=said((1.0, 4.2, "Play it."), (5.0, 9.6, "For me.")), heard={"hi": 0.99})
    whisper = Whisper(Load(backend="script", model="", translate=True), script)
    whisper.listen([window(4, 100, 110)], [np.zeros(160000, np.float32)])
    (found,) = whisper.decode([window(4, 100, 110)], [np.zeros(160000, np.float32)])
    assert (found.language, found.languages) == ("hi", {"hi": 0.99})
    assert [s.text for s in found.segments] == ["Play it once, Sam.", "For old times' sake."]
    assert [(s.text, s.language, s.source) for s in found.translation] == [("Play it.", "en", (0, 3)), ("For me.", "en", (4, 7))]
    assert [w.word for w in found.translation[0].words] == ["Play", "it."]


def test_english_needs_no_translation():
    script = Script(GOOD, translated=said((0, 9.6, "Never asked for.")))
    found = decode(script, translate=True)
    assert [s.text for s in found.translation] == [s.text for s in found.segments]
    assert [s.source for s in found.translation] == [(0, 3), (4, 7)]


def test_every_source_word_belongs_to_one_translated_segment():
    source = [segment("a b c", 0, 3, ("a", 0, 1), ("b", 1, 2), ("c", 2, 3)), segment("d", 5, 6, ("d", 5, 6))]
    english = [segment("one", 0, 1.8), segment("two", 1.8, 3.5), segment("three", 4.5, 6)]
    assert [s.source for s in link(english, source)] == [(0, 1), (2, 2), (3, 3)]
    assert [s.source for s in link([segment("none", 0, 1)], [])] == [None]
