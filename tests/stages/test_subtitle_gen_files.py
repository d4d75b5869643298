"""subtitle-gen's files: read by the parsers of others, and the same text comes out."""

from __future__ import annotations

import html
import io
import itertools
import json
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg
import pysubs2
import pytest
import srt
import webvtt
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyannote.database.util import load_rttm

from reelscribe.schemas import Segment, Transcript, Word
from subtitle_gen import bilingual, exports, files
from subtitle_gen.cues import Planner
from subtitle_gen.files import Event
from subtitle_gen.limits import for_movie, load_profile
from subtitle_gen.words import spoken

LIMITS = for_movie(load_profile("netflix"), "en", "24")
# What no subtitle format can tell from layout: line ends and controls never come in a word.
WORD = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
MARKUP = ["<i>", "</i>", "<", "< i >", "{\\an8}", "{y:i}", "&amp;", "&lt;b&gt;", "\\N", "\\n", "\\h", "{", "}", "<v Bob>"]
LAYOUT = ["-->", "42", "1\u2060", "٣", "00:00:01,000", "00:00:01.000", "00:01.000", "NOTE", "WEBVTT", "STYLE", "-"]
SCRIPTS = ["\u200fשלום", "नमस्ते", "👩\u200d👩\u200d👧", "a\u0301", "\u202bx\u202c"]
NASTY = st.sampled_from([*MARKUP, *LAYOUT, *SCRIPTS])
LINE = st.lists(st.one_of(WORD, NASTY), min_size=1, max_size=4).map(" ".join)
NAME = st.one_of(st.none(), WORD, st.sampled_from(["Speaker 1", "O'Brien & Sons <x>", "Default", "{\\b1}", "a,b", "Jaidev राठौर"]))


@st.composite
def shown(draw: st.DrawFn) -> list[Event]:
    """A few cues of one or two lines, by one or two speakers."""
    found, now = [], draw(st.integers(0, 10**7))
    for _ in range(draw(st.integers(1, 4))):
        lines = tuple(draw(st.lists(LINE, min_size=1, max_size=2)))
        speakers = tuple(draw(NAME) for _ in range(draw(st.integers(1, len(lines)))))
        end = now + draw(st.integers(1, 7000))
        found.append(Event(now, end, lines, speakers))
        now = end + draw(st.integers(0, 3000))
    return found


def without_joiners(text: str) -> str:
    """What a viewer sees of `text`."""
    return text.replace("\u2060", "")


def seen(events: Sequence[Event]) -> list[tuple[int, int, str]]:
    """(start, end, text) as every format should give it back."""
    return [(e.start_ms, e.end_ms, without_joiners("\n".join(e.lines))) for e in events]


NUMBERS = [Event(0, 1000, ("I counted to", "42"), (None,))]
TIMES = [Event(0, 1000, ("0:0:0.0 0:0:0.0", "00:01.000 00:02.000"), (None,))]
BRACES = [Event(0, 1000, (r"{\an8}up", "{y:i}"), (None,))]


@settings(max_examples=200)
@given(shown())
@example(NUMBERS)
@example(TIMES)
@example(BRACES)
def test_srt_comes_back_from_two_parsers(events: list[Event]) -> None:
    written = files.text(events, "srt")
    by_srt = [(s.start.total_seconds() * 1000, s.end.total_seconds() * 1000, without_joiners(s.content)) for s in srt.parse(written)]
    assert [(round(a), round(b), text) for a, b, text in by_srt] == seen(events)
    by_pysubs2 = pysubs2.SSAFile.from_string(written, format_="srt")
    assert [(e.start, e.end, without_joiners(e.text.replace(r"\N", "\n"))) for e in by_pysubs2] == seen(events)


@settings(max_examples=200)
@given(shown())
@example(NUMBERS)
@example(TIMES)
@example(BRACES)
def test_webvtt_comes_back_with_its_voices(events: list[Event]) -> None:
    written = files.text(events, "vtt")
    assert "-->" not in "".join(line for line in written.splitlines() if not re.match(r"[\d:.]+ --> [\d:.]+$", line))
    captions = list(webvtt.from_buffer(io.StringIO(written)))
    assert [(times(c.start), times(c.end)) for c in captions] == [(e.start_ms, e.end_ms) for e in events]
    for caption, event in zip(captions, events, strict=True):
        payload = caption.raw_text
        assert without_joiners(html.unescape(re.sub(r"</?v[^>]*>", "", payload))) == without_joiners("\n".join(event.lines))
        voices = [without_joiners(html.unescape(name)) for name in re.findall(r"<v ([^>]*)>", payload)]
        assert voices == [without_joiners(name) for name in event.speakers if name]


def times(stamp: str) -> int:
    """HH:MM:SS.mmm in milliseconds."""
    hours, minutes, seconds = stamp.split(":")
    return round((int(hours) * 60 + int(minutes)) * 60_000 + float(seconds) * 1000)


@settings(max_examples=200)
@given(shown())
@example(BRACES)
def test_ass_comes_back_with_its_styles(events: list[Event]) -> None:
    back = pysubs2.SSAFile.from_string(files.text(events, "ass"))
    assert len(back) == len(events)
    for found, event in zip(back, events, strict=True):
        assert found.style in back.styles
        assert (found.start, found.end) == (event.start_ms // 10 * 10, max(event.end_ms // 10 * 10, found.start + 10))
        text = re.sub(r"(?<!\\)\{\\r([^}\\]*)\}", "", found.text)
        assert without_joiners(text.replace(r"\N", "\n").replace(r"\{", "{").replace(r"\}", "}")) == without_joiners("\n".join(event.lines))
        assert set(re.findall(r"(?<!\\)\{\\r([^}\\]*)\}", found.text)) <= set(back.styles)


# What ffmpeg makes of <, {\…} and \ in a file is what it burns in, and what it puts into MP4.
SAID = [
    (r"<i>not slanted</i> a < b > c", r"{\an8}not on top"),
    (r"C:\Now\here & {braces} {y:i}", "1 <3 you --> 42"),
    ("&amp; stays &lt;so&gt;", "42"),
    ("\u202bשלום, מה?\u202c", "\u202bNetflix قال.\u202c"),
    ("राठौर जी नमस्ते", "昨日の夜、駅で"),
]


@pytest.mark.parametrize("form", files.FORMATS)
def test_ffmpeg_reads_every_format_and_changes_no_word(form: str, tmp_path: Path) -> None:
    events = [Event(n * 3000, n * 3000 + 2000, lines, ("Jai & Co", "Sarah")) for n, lines in enumerate(SAID)]
    source, result = tmp_path / f"a.{form}", tmp_path / "b.ass"
    source.write_text(files.text(events, form), encoding="utf-8")
    tool = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-loglevel", "error", "-y", "-i", str(source), str(result)]
    done = subprocess.run(tool, check=True, capture_output=True, text=True)
    assert done.stderr == ""
    back = pysubs2.load(str(result))
    plain = [re.sub(r"(?<!\\)\{(\\[^}]*)?\}", "", e.text).replace(r"\N", "\n").replace(r"\{", "{").replace(r"\}", "}") for e in back]
    assert [(e.start, e.end) for e in back] == [(e.start_ms, e.end_ms) for e in events]
    assert [without_joiners(text) for text in plain] == [text for _, _, text in seen(events)]


def test_lines_from_right_to_left_say_so() -> None:
    planner = planner_of("قال لي إن القطار سيغادر. ثم ذهب.", language="ar")
    lines = [line for event in files.events(planner.cues(), planner.limits.clock, rtl=True) for line in event.lines]
    assert all(line.startswith("\u202b") and line.endswith("\u202c") for line in lines)
    assert [files.is_right_to_left(code) for code in ("ar", "he", "fa", "ur", "en", "hi", "ja")] == [True] * 4 + [False] * 3


# -- transcripts --------------------------------------------------------------------------------------------------------


def planner_of(text: str, *, language: str = "en", speakers: str = "A", start: float = 0.0) -> Planner:
    """A planner of `text` at an even pace, the words by the speakers in turn."""
    limits = for_movie(load_profile("netflix"), language, "24")
    return Planner(spoken([segment_of(text, speakers=speakers, start=start)], {"A": "Jai Rathore", "B": "Sarah"}, language, limits), limits)


def segment_of(text: str, *, speakers: str = "A", start: float = 0.0, source: tuple[int, int] | None = None) -> Segment:
    """`text` at an even pace."""
    words = [
        Word(word=word, start=start + n / 2, end=start + n / 2 + 0.4, speaker=speakers[n % len(speakers)], score=0.5)
        for n, word in enumerate(text.split())
    ]
    return Segment(id=0, start=words[0].start, end=words[-1].end, text=text, words=words, speaker=speakers[0], source=source)


def test_plain_text_is_a_line_for_each_turn() -> None:
    assert exports.plain_text(planner_of("yes no", speakers="AB")) == "Jai Rathore: yes\nSarah: no\n"
    assert exports.plain_text(planner_of("so be it", speakers="?")) == "so be it\n"


def test_rttm_says_who_speaks_when(tmp_path: Path) -> None:
    path = tmp_path / "a.rttm"
    planner = planner_of("yes yes no no", speakers="AABB")
    path.write_text(exports.rttm(planner, planner.limits.clock, "A Movie"))
    (annotation,) = load_rttm(path).values()
    assert annotation.uri == "A_Movie"
    assert [(round(s.start, 2), round(s.end, 2), label) for s, _, label in annotation.itertracks(yield_label=True)] == [
        (0.0, 0.92, "Jai_Rathore"),
        (1.0, 1.92, "Sarah"),
    ]


def test_json_is_whisperx_and_ours() -> None:
    segment = segment_of("yes no", speakers="AB")
    transcript = Transcript(segments=[segment], language="en", engine="e", model="m", duration=9)
    found = json.loads(json.dumps(exports.whisperx(transcript, [segment], "en", {"A": "Jai"})))
    assert found["language"] == "en"
    assert found["word_segments"] == found["segments"][0]["words"]
    assert found["segments"][0]["speaker"] == "Jai"
    assert [(w["word"], w["start"], w["end"], w["score"], w.get("speaker")) for w in found["word_segments"]] == [
        ("yes", 0.0, 0.4, 0.5, "Jai"),
        ("no", 0.5, 0.9, 0.5, None),
    ]
    assert Transcript.model_validate(found).segments[0].text == "yes no"


def test_whisperx_writes_its_own_subtitles_from_our_json(tmp_path: Path, python_of_asr: Callable[[str, Sequence[str]], str]) -> None:
    segment = segment_of("yes no", speakers="AB")
    transcript = Transcript(segments=[segment], language="en", engine="e", model="m", duration=9)
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(exports.whisperx(transcript, [segment], "en", {"A": "Jai", "B": "Sarah"})))
    program = (
        "import json, sys; from whisperx.utils import get_writer;"
        "w = get_writer('srt', sys.argv[2]);"
        "w(json.load(open(sys.argv[1])), 'x.wav', {'max_line_width': None, 'max_line_count': None, 'highlight_words': False})"
    )
    python_of_asr(program, [str(path), str(tmp_path)])
    assert "[Jai]: yes no" in (tmp_path / "x.srt").read_text()


@pytest.fixture
def python_of_asr() -> Callable[[str, Sequence[str]], str]:
    """Runs a program in the environment that WhisperX is in."""
    from conftest import python_of

    def run(program: str, arguments: Sequence[str]) -> str:
        command = [str(python_of("asr")), "-W", "ignore", "-c", program, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    return run


# -- two languages ------------------------------------------------------------------------------------------------------


@st.composite
def two_languages(draw: st.DrawFn) -> tuple[list[Segment], list[Segment]]:
    """What was said, and a translation of some of it."""
    said = [f"w{n}" for n in range(draw(st.integers(1, 30)))]
    segment = segment_of(" ".join(said))
    translation: list[Segment] = []
    first = 0
    while first < len(said):
        last = min(len(said) - 1, first + draw(st.integers(0, 9)))
        if draw(st.booleans()):
            span = last - first + 1
            text = " ".join(f"e{len(translation)}x{n}" for n in range(draw(st.integers(1, 2 * span))))
            made = segment_of(text, start=first / 2, source=(first, last))
            pace = span / 2 / len(made.words)
            for n, word in enumerate(made.words):
                word.start, word.end = first / 2 + n * pace, first / 2 + (n + 1) * pace
            translation.append(made.model_copy(update={"id": len(translation), "end": made.words[-1].end}))
        first = last + 1
    return [segment], translation


@settings(max_examples=150)
@given(two_languages())
def test_no_word_of_either_language_is_lost_or_doubled(both: tuple[list[Segment], list[Segment]]) -> None:
    said, translation = (Planner(spoken(segments, {"A": "Jai"}, "en", LIMITS), LIMITS) for segments in both)
    cues = translation.cues()
    covered = bilingual.covered(translation, cues, both[1], said)
    linked = [k for own in covered for k in own]
    assert sorted(linked) == sorted({k for s in both[1] if s.source for k in range(s.source[0], s.source[1] + 1)})
    merged = bilingual.merged(files.events(cues, LIMITS.clock), covered, said, rtl=False)
    shown_words = sorted(word for event in merged for line in event.lines for word in line.split())
    assert shown_words == sorted(word.text for planner in (said, translation) for word in planner.words)
    for before, after in itertools.pairwise(merged):
        assert before.start_ms < before.end_ms <= after.start_ms
