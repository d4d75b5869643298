"""post-ner: words at turn changes, names mended and names left alone, names of speakers that survive."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wordfreq import top_n_list

from post_ner import frequency
from post_ner.correct import Corrector, is_cased
from post_ner.decision import THRESHOLD, WEIGHTS, Heard, decide, guard
from post_ner.targets import from_glossary
from post_ner.tokens import fold, parse
from post_ner.turns import UNKNOWN, Turns, speakers_of
from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import (
    Corrections,
    Diarization,
    Glossary,
    Replacement,
    Segment,
    Speaker,
    Speakers,
    Term,
    Transcript,
    Turn,
    Word,
)

RunStage = Callable[..., subprocess.CompletedProcess[str]]

# fmt: off
GIVEN = [
    "Aditi", "Jaidev", "Priya", "Imran", "Shalini", "Naina", "Vikram", "Lakshmi", "Ratan", "Arjun",
    "Kavita", "Rohan", "Meenakshi", "Siddharth", "Anjali", "Farhan", "Zoya", "Kabir", "Matthias", "Isolde",
    "Siobhan", "Niamh", "Aoife", "Ciaran", "Brunhilde", "Wolfgang", "Gretchen", "Giulia", "Lorenzo", "Beatrice",
]
# fmt: on
SURNAMES = ["Rathore", "Iyer", "Chatterjee", "Deshpande", "Schmidt", "Kowalczyk", "Lindqvist", "Dubois", "Featherstone", "Goldman"]


# -- who says what ------------------------------------------------------------------------------------------------------


def words_of(text: str, start: float = 0.0, each_s: float = 0.4, score: float | None = None) -> list[Word]:
    """`text` at an even pace, without pauses."""
    return [Word(word=word, start=start + i * each_s, end=start + (i + 1) * each_s, score=score) for i, word in enumerate(text.split())]


def segment_of(text: str, start: float = 0.0, **more: Any) -> Segment:
    """`text` at an even pace as a segment."""
    words = words_of(text, start, **more)
    return Segment(id=0, start=start, end=words[-1].end, text=text, words=words)


def turns_of(*turns: tuple[float, float, str]) -> Turns:
    """(start, end, speaker) each."""
    return Turns([Turn(start=start, end=end, speaker=speaker) for start, end, speaker in turns])


def test_a_word_across_a_change_goes_to_whoever_has_most_of_it() -> None:
    turns = turns_of((0, 1.1, "A"), (1.1, 3, "B"))
    assert [turns.speaker(word) for word in words_of("one two three", each_s=0.5)] == ["A", "A", "B"]
    assert turns.speaker(Word(word="between", start=0.9, end=1.2)) == "A"
    assert turns.speaker(Word(word="between", start=1.0, end=1.3)) == "B"


def test_a_word_outside_of_turns_goes_to_the_nearest_within_a_second_else_to_nobody() -> None:
    turns = turns_of((2, 3, "A"), (6, 7, "B"))
    assert turns.speaker(Word(word="early", start=1.2, end=1.5)) == "A"
    assert turns.speaker(Word(word="late", start=3.4, end=3.6)) == "A"
    assert turns.speaker(Word(word="before", start=5.2, end=5.4)) == "B"
    assert turns.speaker(Word(word="lost", start=4.2, end=4.6)) == UNKNOWN
    assert turns_of().speaker(Word(word="nobody", start=0, end=1)) == UNKNOWN


def test_a_blurred_edge_does_not_cut_a_word_off_its_phrase() -> None:
    turns = turns_of((0, 2.5, "A"), (2.5, 6, "B"))
    phrase = words_of("I have never seen him", start=2.2)
    assert turns.speaker(phrase[0]) == "A"
    assert speakers_of(phrase, turns) == ["B"] * 5


def test_a_short_answer_with_a_turn_of_its_own_stays_its_speakers() -> None:
    turns = turns_of((0, 1.6, "A"), (1.6, 2.0, "B"), (2.0, 4, "A"))
    assert speakers_of(words_of("so you saw him no tell me the truth"), turns)[3:6] == ["A", "B", "A"]


def test_a_flicker_inside_a_phrase_is_nobodys_turn() -> None:
    turns = turns_of((0, 1.6, "A"), (1.6, 1.85, "B"), (1.85, 4, "A"))
    assert speakers_of(words_of("so you saw him then and tell me the"), turns) == ["A"] * 9


def test_the_end_of_a_sentence_parts_two_speakers_within_a_moment() -> None:
    turns = turns_of((0, 0.5, "A"), (0.5, 6, "B"))
    assert speakers_of(words_of("Really? Yes, I saw it all myself"), turns) == ["A", *["B"] * 6]


# -- words and their parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "parts", "key"),
    [
        ("Jaidev", ("", "Jaidev", "", ""), "jaidev"),
        ("Jaidev-ji's,", ("", "Jaidev", "-ji's", ","), "jaidev"),
        ("“Jaidev’s,”", ("“", "Jaidev", "’s", ",”"), "jaidev"),
        ("O'Brien!", ("", "O'Brien", "", "!"), "obrien"),
        ("José-Luis", ("", "José-Luis", "", ""), "joseluis"),
        ("--", ("--", "", "", ""), ""),
        ("जयदेव।", ("", "जयदेव", "", "।"), "जयदेव"),
    ],
)
def test_a_word_is_taken_apart(word: str, parts: tuple[str, ...], key: str) -> None:
    token = parse(word)
    assert (token.lead, token.core, token.ending, token.trail) == parts
    assert token.key == key


@given(st.text(max_size=12))
def test_the_parts_of_any_text_are_the_text(text: str) -> None:
    token = parse(text)
    assert token.lead + token.core + token.respect + token.possessive + token.trail == text


@pytest.mark.parametrize("word", ["Rathor—he", "Rathor,he", "Jai--wait", "wait...Jai", "(Jai)(Karl)", "home.Jai"])
def test_words_without_a_space_between_them_are_several(word: str) -> None:
    assert parse(word).several


@pytest.mark.parametrize("word", ["Rathor—", "Anne-Marie", "O’Brien's", "J.K.", "J.K", "रा\u200dम", "3.5", "Dr.", "col·lecció"])
def test_a_word_is_one(word: str) -> None:
    assert not parse(word).several


def test_folding_keeps_the_vowel_signs_that_tell_hindi_words_apart() -> None:
    assert fold("कि") != fold("की")
    assert fold("é") == fold("e")


# -- the decision -------------------------------------------------------------------------------------------------------


def glossary_of(*names: str, weight: float = 0.8, never: Sequence[str] = (), rules: Sequence[tuple[str, str]] = ()) -> Glossary:
    """A glossary of characters."""
    return Glossary(
        terms=[Term(text=name, kind="character", weight=weight, source="test") for name in names],
        never=list(never),
        replacements=[Replacement(wrong=wrong, right=right) for wrong, right in rules],
        pipeline="test",
    )


NO_SUPPORT = {"company": 0.0, "mentions": 0.0, "speaker": 0.0}


def decided(heard: str, name: str, *, case: int = 0, probability: float | None = None) -> tuple[bool, str]:
    """Whether the words `heard` are taken for `name`, and by which rule."""
    usage = frequency.Usage("en")
    target = next(t for t in from_glossary(glossary_of(name), usage) if t.key == fold(name))
    keys = tuple(fold(word) for word in heard.split())
    decision = decide(Heard(keys, probability, case), target, usage, NO_SUPPORT)
    return decision.accepted, decision.rule


@pytest.mark.parametrize(
    ("heard", "name", "rule"),
    [
        ("adity", "Aditi", "spelling"),
        ("emran", "Imran", "spelling"),
        ("shaleeni", "Shalini", "spelling"),
        ("arjoon", "Arjun", "spelling"),
        ("batacharya", "Bhattacharya", "spelling"),
        ("takahachi", "Takahashi", "spelling"),
        ("jay dev", "Jaidev", "joined"),
        ("a diti", "Aditi", "joined"),
        ("imrankhan", "Imran Khan", "split"),
        ("mee nak shi", "Meenakshi", "joined"),
        ("mateeas", "Matthias", "spelling"),
        ("steven", "Stephen", "spelling"),
        ("jay", "Jai", "spelling"),
    ],
)
def test_a_name_spelt_wrong_is_known(heard: str, name: str, rule: str) -> None:
    assert decided(heard, name) == (True, rule)


@pytest.mark.parametrize(
    ("heard", "name", "why"),
    [
        ("jai", "Raj", "too short"),
        ("can", "Khan", "common word"),
        ("mark", "Marc", "common word"),
        ("byron", "Baron", "common word"),
        ("shone", "Shane", "common word"),
        ("pester", "Hester", "common word"),
        ("anita", "Amita", "common word"),
        ("dashboard", "Dashwood", "common word"),
        ("khans", "Khan", "common word"),
        ("rathores", "Rathore", "inflected"),
        ("rathors", "Rathore", "inflected"),
        ("vikrant", "Vikram", "another word"),
        ("rathod", "Rathore", "another word"),
        ("lorenza", "Lorenzo", "another word"),
        ("simrun", "Imran", "too different"),
        ("rathor2", "Rathore", "number"),
        ("amanpreet", "Manpreet", "another word"),
        ("may a", "Maya", "common word"),
        ("the rathore", "Rathore", "too different"),
        ("rathor is", "Rathore", "one of them is nearer"),
        ("tels in", "Tamsin", "common word"),
        ("wolf gain", "Wolfgang", "real words"),
    ],
)
def test_a_guard_with_a_name_keeps_a_right_word_right(heard: str, name: str, why: str) -> None:
    assert decided(heard, name) == (False, why)


def test_capitals_tell_a_rare_word_from_a_rare_name() -> None:
    assert decided("devereux", "Devereaux", case=1) == (True, "spelling")
    assert decided("devereux", "Devereaux", case=-1) == (False, "common word")


def test_the_other_gender_of_a_name_is_another_name_and_what_nobody_is_called_is_not() -> None:
    assert decided("giulio", "Giulia", case=1) == (False, "another word")
    assert decided("manish", "Manisha", case=1) == (False, "another word")
    assert decided("adita", "Aditi", case=1) == (True, "spelling")


def test_doubt_tips_the_scale() -> None:
    assert decided("kovalchik", "Kowalczyk", probability=0.1)[0]
    assert not decided("kovalchik", "Kowalczyk", probability=0.99)[0]


def test_the_best_heard_name_reaches_the_threshold_and_the_weights_say_what_counts() -> None:
    assert WEIGHTS["spelling"] + WEIGHTS["sound"] > THRESHOLD > WEIGHTS["spelling"]


# -- correcting a transcript --------------------------------------------------------------------------------------------


def corrected(text: str, glossary: Glossary, *, cased: bool | None = None, score: float | None = None) -> tuple[Segment, Corrections]:
    """`text` through the corrector, as one segment."""
    segment = segment_of(text, score=score)
    corrector = Corrector(glossary, frequency.Usage("en"), cased=is_cased([segment]) if cased is None else cased)
    (after,), ledger = corrector.correct([segment])
    return after, ledger


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Then Rathor's train, at last, came.", "Then Rathore's train, at last, came."),
        ("I told jay dev, he knows.", "I told Jaidev, he knows."),
        ("i told jay dev he knows", "i told Jaidev he knows"),
        ("WHERE IS RATHOR NOW", "WHERE IS RATHORE NOW"),
        ("(Rathor!) he cried", "(Rathore!) he cried"),
        ("is rathore here", "is Rathore here"),
        ("is Rathor-ji here, Jay Dev-ji's friend", "is Rathore-ji here, Jaidev-ji's friend"),
        ("Wait—Rathor—he is here, Rathor,he", "Wait—Rathor—he is here, Rathor,he"),
        ("Jay, Dev came too.", "Jay, Dev came too."),
        ("The Rathores are here with Rathore.", "The Rathores are here with Rathore."),
    ],
)
def test_names_are_mended_and_the_rest_stays(text: str, expected: str) -> None:
    after, _ = corrected(text, glossary_of("Jaidev Rathore"))
    assert after.text == expected
    assert [word.word for word in after.words] == expected.split()


def test_a_joined_word_has_the_time_of_both_and_a_split_one_its_shares() -> None:
    joined, ledger = corrected("I met jay dev there", glossary_of("Jaidev"), score=0.5)
    assert [(w.word, w.start, w.end) for w in joined.words[1:4]] == [("met", 0.4, 0.8), ("Jaidev", 0.8, 1.6), ("there", 1.6, 2.0)]
    assert joined.words[2].score == 0.5
    assert [(c.segment, c.first, c.last, c.old, c.new) for c in ledger.corrections] == [(0, 2, 2, "jay dev", "Jaidev")]
    apart, ledger = corrected("met Imrankhan there", glossary_of("Imran Khan"))
    assert [w.word for w in apart.words] == ["met", "Imran", "Khan", "there"]
    assert apart.words[1].start == 0.4
    assert apart.words[1].end == apart.words[2].start == pytest.approx(0.4 + 0.4 * 5 / 9)
    assert [(c.first, c.last) for c in ledger.corrections] == [(1, 2)]


def test_the_users_own_replacement_beats_every_guard() -> None:
    after, ledger = corrected("Can and Jay came, and jay's dog", glossary_of("Jaidev", rules=[("Jay", "Jai"), ("Can", "Khan")]))
    assert after.text == "Khan and Jai came, and Jai's dog"
    assert {c.rule for c in ledger.corrections} == {"user"}


def test_the_users_lines_about_a_possessive_hold_for_it_alone() -> None:
    rules = [("Jay's", "Jai's"), ("Marwick's Bar", "Merrick's Bar")]
    after, _ = corrected("At Jay's, Jay came to Marwick's Bar", glossary_of("Jaidev", rules=rules))
    assert after.text == "At Jai's, Jay came to Merrick's Bar"
    assert corrected("Rathor's and Rathor", glossary_of("Rathore", never=["Rathor's"]))[0].text == "Rathor's and Rathore"


def test_thousands_of_the_users_lines_are_looked_up() -> None:
    rules = [(f"nam{i} x", f"Name{i}") for i in range(20_000)]
    glossary = glossary_of("Rathore", rules=rules, never=[f"zork{i}" for i in range(20_000)])
    after, _ = corrected("Then nam7 x met Rathor and zork9", glossary)
    assert after.text == "Then Name7 met Rathore and zork9"


def test_names_in_a_script_without_capitals_are_mended_too() -> None:
    segment = segment_of("यहाँ राठोर आया, OK")
    (after,), _ = Corrector(glossary_of("राठौर"), frequency.Usage("hi"), cased=True, language="hi").correct([segment])
    assert after.text == "यहाँ राठौर आया, OK"


def test_where_few_words_are_listed_an_unlisted_one_written_small_is_left_alone() -> None:
    segment = segment_of("Der står en rathur i haven")
    for language, text in (("en", "Der står en Rathore i haven"), ("da", segment.text)):
        (after,), _ = Corrector(glossary_of("Rathore"), frequency.Usage(language), cased=True).correct([segment])
        assert after.text == text


def test_what_the_user_forbids_is_left_alone() -> None:
    assert corrected("Then Rathor came", glossary_of("Rathore", never=["Rathor"]))[0].text == "Then Rathor came"
    assert corrected("Then Rathor came", glossary_of("Rathore", never=["Rathore"]))[0].text == "Then Rathor came"


def test_between_two_names_as_near_nobody_decides() -> None:
    assert corrected("Then Amig came", glossary_of("Amit", "Amid"))[0].text == "Then Amig came"


def test_a_term_with_a_time_range_matters_only_there() -> None:
    glossary = glossary_of("Rathore")
    glossary.terms[0].start, glossary.terms[0].end = 100, 200
    assert corrected("Then Rathor came", glossary)[0].text == "Then Rathor came"


def test_every_change_is_in_the_ledger_with_scores_and_rule() -> None:
    _, ledger = corrected("Then Rathor met Adity and rathore", glossary_of("Rathore", "Aditi"))
    assert [(c.heard, c.written, c.rule) for c in ledger.corrections] == [
        ("Rathor", "Rathore", "spelling"),
        ("Adity", "Aditi", "spelling"),
        ("rathore", "Rathore", "writing"),
    ]
    assert len({c.id for c in ledger.corrections}) == 3
    scores = ledger.corrections[0].scores
    assert scores["score"] == pytest.approx(sum(WEIGHTS[name] * scores[name] for name in WEIGHTS))
    assert scores["score"] >= ledger.threshold == THRESHOLD


CAST = [f"{given_name} {surname}" for given_name in GIVEN for surname in SURNAMES]


def test_common_words_are_never_taken_for_one_of_300_names() -> None:
    words = [word for word in top_n_list("en", 20000) if word.isalpha()]
    usage = frequency.Usage("en")
    known = {fold(name) for name in (*GIVEN, *SURNAMES)}
    corrector = Corrector(glossary_of(*CAST), usage, cased=False)
    segments = [segment_of(" ".join(words[i : i + 10])) for i in range(0, len(words), 10)]
    _, ledger = corrector.correct(segments)
    assert len(CAST) == 300
    # Of the words in use, only a name of the cast itself may be given its capital, and a name (julia) may be one's of the cast (Giulia).
    assert [c.old for c in ledger.corrections if fold(c.old) not in known and not usage.is_name(c.old)] == []
    assert len(ledger.corrections) < 10


@pytest.mark.shared
def test_nothing_changes_in_text_without_the_casts_names(shared_media: Path) -> None:
    texts = sorted(shared_media.glob("*/*.txt"))
    assert texts
    for path in texts:
        language = path.stem[:2] if path.parent.name == "fleurs" else "en"
        words = path.read_text(encoding="utf-8").split()
        zipf = frequency.Usage(language)
        for written in (words, [word.title() for word in words], [word.upper() for word in words]):
            segments = [segment_of(" ".join(written[i : i + 12])) for i in range(0, len(written), 12)]
            after, ledger = Corrector(glossary_of(*CAST), zipf, cased=is_cased(segments)).correct(segments)
            assert ledger.corrections == [], path.name
            assert after == segments


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(["jay", "dev", "Rathor's,", "rathore", "adity", "“Adity”", "a", "diti", "imrankhan", "the", "—", "said.", "Can"])
    )
)
def test_the_ledger_undone_gives_the_first_words_back(words: list[str]) -> None:
    glossary = glossary_of("Jaidev Rathore", "Aditi", "Imran Khan", rules=[("can", "Imran Khan")])
    before = Segment(id=0, start=0, end=9, text=" ".join(words), words=words_of(" ".join(words)))
    (after,), ledger = Corrector(glossary, frequency.Usage("en"), cased=is_cased([before])).correct([before])
    undone = [word.word for word in after.words]
    for change in reversed(ledger.corrections):
        assert " ".join(undone[change.first : change.last + 1]) == change.new != change.old
        undone[change.first : change.last + 1] = change.old.split()
    assert undone == words
    assert [w.start for w in after.words] == sorted(w.start for w in after.words)
    assert all(w.start < w.end for w in after.words)
    assert [w.end for w in after.words][-1:] == [w.end for w in before.words][-1:]


# -- the stage ----------------------------------------------------------------------------------------------------------


def put(
    movie_dir: Path,
    segments: Sequence[Segment],
    turns: Sequence[tuple[float, float, str]],
    glossary: Glossary | None = None,
    language: str = "en",
) -> None:
    """The stage's inputs."""
    numbered = [segment.model_copy(update={"id": number}) for number, segment in enumerate(segments)]
    write_json(
        movie_dir / "transcription/transcript.json",
        Transcript(segments=numbered, language=language, engine="test", model="test", duration=60),
    )
    exclusive = [Turn(start=start, end=end, speaker=speaker) for start, end, speaker in turns]
    total_s = {label: sum(t.end - t.start for t in exclusive if t.speaker == label) for _, _, label in turns}
    write_json(
        movie_dir / "diarization/diarization.json",
        Diarization(
            turns=exclusive,
            exclusive=exclusive,
            speakers=[Speaker(label=label, total_s=seconds) for label, seconds in sorted(total_s.items())],
            duration=60,
            model="test",
        ),
    )
    write_json(movie_dir / "glossary/glossary.json", glossary or glossary_of())


def result(movie_dir: Path) -> Transcript:
    """What the stage wrote."""
    return read_json(movie_dir / "corrected/transcript.json", Transcript)


def test_segments_are_split_where_the_speaker_changes(run_stage: RunStage, movie_dir: Path) -> None:
    put(
        movie_dir,
        [segment_of("Where is Rathor? He has left, sir.", score=0.4), segment_of("Good.", start=20)],
        [(0, 1.2, "SPEAKER_01"), (1.2, 3, "SPEAKER_00")],
        glossary_of("Jaidev Rathore"),
    )
    done = run_stage("post-ner", movie_dir)
    segments = result(movie_dir).segments
    assert [(s.id, s.speaker, s.text) for s in segments] == [
        (0, "SPEAKER_01", "Where is Rathore?"),
        (1, "SPEAKER_00", "He has left, sir."),
        (2, "unknown", "Good."),
    ]
    assert [(s.start, s.end) for s in segments] == [(0, 1.2), (1.2, 2.8), (20, 20.4)]
    assert all(word.speaker == segment.speaker for segment in segments for word in segment.words)
    speakers = json.loads((movie_dir / "corrected/speakers.json").read_text(encoding="utf-8"))["speakers"]
    assert speakers == [
        {"label": "SPEAKER_01", "name": "Speaker 1", "automatic": "Speaker 1", "evidence": [], "total_s": 1.2},
        {"label": "SPEAKER_00", "name": "Speaker 2", "automatic": "Speaker 2", "evidence": [], "total_s": 1.8},
    ]
    ledger = read_json(movie_dir / "corrected/corrections.json", Corrections)
    assert [(c.segment, c.first, c.old, c.new) for c in ledger.corrections] == [(0, 2, "Rathor?", "Rathore?")]
    assert "names mended: 1 (Rathor? → Rathore?)" in done.stderr
    assert "speakers: 2, segments: 3, words without a speaker: 1" in done.stderr


def test_a_translation_has_the_speakers_of_the_words_it_covers_and_its_names_mended(run_stage: RunStage, movie_dir: Path) -> None:
    source = [segment_of("Wo ist jay dev? Er ging."), segment_of("Gut.", start=20)]
    put(movie_dir, source, [(0, 1.6, "A"), (1.6, 3, "B"), (20, 21, "C")], glossary_of("Jaidev"), language="de")
    path = movie_dir / "transcription/transcript.json"
    english = [("Where is Jaydev?", (0, 3)), ("He left.", (4, 5)), ("Good.", (6, 6)), ("Lost.", None)]
    translation = [segment_of(text, start).model_copy(update={"source": covered}) for start, (text, covered) in enumerate(english)]
    write_json(path, read_json(path, Transcript).model_copy(update={"translation": translation}))
    run_stage("post-ner", movie_dir)
    found = result(movie_dir)
    assert found.translation is not None
    assert [(s.text, s.speaker) for s in found.translation] == [
        ("Where is Jaidev?", "A"),
        ("He left.", "B"),
        ("Good.", "C"),
        ("Lost.", UNKNOWN),
    ]
    words = [word.word for segment in found.segments for word in segment.words]
    covered = [words[s.source[0] : s.source[1] + 1] for s in found.translation if s.source]
    assert covered == [["Wo", "ist", "Jaidev?"], ["Er", "ging."], ["Gut."]]


def test_a_second_run_writes_the_same_bytes(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, [segment_of("Where is Rathor? jay dev knows.")], [(0, 5, "A")], glossary_of("Jaidev Rathore"))
    run_stage("post-ner", movie_dir)
    first = {path.name: path.read_bytes() for path in (movie_dir / "corrected").iterdir()}
    assert "up to date" in run_stage("post-ner", movie_dir).stderr
    run_stage("post-ner", movie_dir, options=["--force"])
    assert {path.name: path.read_bytes() for path in (movie_dir / "corrected").iterdir()} == first


def test_an_edited_name_survives_and_follows_its_voice(run_stage: RunStage, movie_dir: Path) -> None:
    segments = [segment_of("Where were you?"), segment_of("At the station.", start=5)]
    put(movie_dir, segments, [(0, 2, "SPEAKER_00"), (5, 7, "SPEAKER_01")])
    run_stage("post-ner", movie_dir)
    path = movie_dir / "corrected/speakers.json"
    edited = json.loads(path.read_text(encoding="utf-8"))
    edited["speakers"][0]["name"] = "Jai"
    path.write_text(json.dumps(edited), encoding="utf-8")

    assert "edited since; the edit is kept" in run_stage("post-ner", movie_dir).stderr
    run_stage("post-ner", movie_dir, options=["--force"])
    assert {s.label: s.name for s in read_json(path, Speakers).speakers} == {"SPEAKER_00": "Jai", "SPEAKER_01": "Speaker 2"}

    put(movie_dir, segments, [(0, 2, "SPEAKER_01"), (5, 7, "SPEAKER_00")])  # the same voices, numbered the other way round
    run_stage("post-ner", movie_dir)
    assert {s.label: s.name for s in read_json(path, Speakers).speakers} == {"SPEAKER_01": "Jai", "SPEAKER_00": "Speaker 2"}

    put(movie_dir, segments, [(30, 32, "SPEAKER_00")])  # a voice that is gone takes its name with it
    run_stage("post-ner", movie_dir)
    assert {s.label: s.name for s in read_json(path, Speakers).speakers} == {"SPEAKER_00": "Speaker 1"}


def test_names_can_be_left_as_they_were_heard(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, [segment_of("Then Rathor came.")], [(0, 5, "A")], glossary_of("Rathore"))
    run_stage("post-ner", movie_dir, options=["--correct-names=false"])
    assert result(movie_dir).segments[0].text == "Then Rathor came."
    assert result(movie_dir).segments[0].speaker == "A"


def test_an_empty_transcript_is_no_failure(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, [], [])
    run_stage("post-ner", movie_dir)
    assert result(movie_dir).segments == []
    assert read_json(movie_dir / "corrected/speakers.json", Speakers).speakers == []


def test_a_script_without_spaces_keeps_its_spelling_and_says_so(run_stage: RunStage, movie_dir: Path) -> None:
    segment = segment_of("列 车 来 了").model_copy(update={"text": "列车来了"})
    put(movie_dir, [segment], [(0, 0.8, "A"), (0.8, 5, "B")], glossary_of("列车长"), language="zh")
    done = run_stage("post-ner", movie_dir)
    assert [s.text for s in result(movie_dir).segments] == ["列车", "来了"]
    assert "names are not mended in zh" in done.stderr


def test_what_is_missing_or_damaged_is_named_with_its_remedy(run_stage: RunStage, movie_dir: Path) -> None:
    put(movie_dir, [segment_of("Yes.")], [(0, 1, "A")])
    (movie_dir / "corrected").mkdir()
    (movie_dir / "corrected/speakers.json").write_text('{"speakers": [{"label": "A"', encoding="utf-8")
    damaged = run_stage("post-ner", movie_dir, check=False)
    assert damaged.returncode == 3
    assert "speakers.json is damaged" in damaged.stderr
    (movie_dir / "diarization/diarization.json").unlink()
    missing = run_stage("post-ner", movie_dir, check=False)
    assert missing.returncode == 3
    assert "run the stage diarization first" in missing.stderr


def test_the_guards_are_asked_before_any_score() -> None:
    zipf = frequency.Usage("en")
    (target,) = from_glossary(glossary_of("Khan"), zipf)
    assert guard(Heard(("kahn",), None, 1), target, zipf) == "common word"
