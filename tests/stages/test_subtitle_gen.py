"""subtitle-gen as users run it: files, options, shot changes, quality control."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg
import pytest

from reelscribe.artifacts import read_json, write_json
from reelscribe.schemas import (
    AudioTrack,
    Glossary,
    Media,
    NamedSpeaker,
    Qc,
    Segment,
    Shots,
    Speakers,
    Stream,
    Term,
    Track,
    Tracks,
    Transcript,
    Word,
)

RunStage = Callable[..., subprocess.CompletedProcess[str]]
MakeMovie = Callable[..., Path]
SPEAKERS = Speakers(speakers=[NamedSpeaker(label=label, name=f"Speaker {label}", total_s=1) for label in "ABC"])


def segment_of(
    text: str, start: float = 0.0, *, number: int = 0, each_s: float = 0.3, speaker: str | None = "A", source: tuple[int, int] | None = None
) -> Segment:
    """`text` at an even pace by one speaker."""
    words = [
        Word(word=word, start=start + i * each_s, end=start + (i + 1) * each_s, speaker=speaker) for i, word in enumerate(text.split())
    ]
    return Segment(id=number, start=start, end=words[-1].end, text=text, words=words, speaker=speaker, source=source)


def transcript_of(
    *segments: Segment, language: str = "en", draft: bool = False, translation: Sequence[Segment] | None = None
) -> Transcript:
    """A transcript of `segments`."""
    said = list(translation) if translation is not None else None
    return Transcript(segments=list(segments), translation=said, language=language, engine="test", model="test", draft=draft, duration=60)


PICTURE = Stream(index=0, kind="video", codec="h264", width=64, height=48)


class Movie:
    """A movie directory with the stage's inputs, and the stage itself."""

    def __init__(self, folder: Path, run_stage: RunStage) -> None:
        self.dir = folder
        self.file = folder.parent / "a movie.mkv"
        self.file.write_bytes(b"no movie that anybody opens")
        self._run_stage = run_stage

    def put(
        self,
        transcript: Transcript,
        *,
        fps: str | None = "24",
        picture: bool = False,
        terms: Sequence[Term] = (),
        heard_s: int | float = 60,
    ) -> None:
        """The stage's inputs. picture: whether the movie is said to have one. heard_s: the sound's length."""
        write_json(self.dir / "corrected/transcript.json", transcript)
        write_json(self.dir / "corrected/speakers.json", SPEAKERS)
        write_json(self.dir / "glossary/glossary.json", Glossary(terms=list(terms), pipeline="test"))
        audio = AudioTrack(index=0, reason="test", downmix="mono", start=0.0)
        streams = [PICTURE] if picture else []
        write_json(
            self.dir / "media.json",
            Media(container="matroska", duration=60, fps=fps, streams=streams, audio=audio, num_samples=round(heard_s * 16000)),
        )

    def run(self, *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the stage."""
        return self._run_stage("subtitle-gen", self.dir, movie=self.file, options=options, check=check)

    def text(self, name: str) -> str:
        """One of the files made."""
        return (self.dir / "subtitles" / name).read_text(encoding="utf-8")

    def names(self) -> list[str]:
        """The files made for viewers."""
        return sorted(path.name.removeprefix("A_Movie.") for path in (self.dir / "subtitles").glob("A_Movie.*"))

    def qc(self) -> Qc:
        """Quality control."""
        return read_json(self.dir / "subtitles/qc.json", Qc)

    def tracks(self) -> list[Track]:
        """What mux is told."""
        return read_json(self.dir / "subtitles/tracks.json", Tracks).tracks


@pytest.fixture
def movie(movie_dir: Path, run_stage: RunStage) -> Movie:
    """A movie directory."""
    return Movie(movie_dir, run_stage)


def test_every_file_is_written_and_named_for_mux(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Where is he?"), segment_of("Gone, I fear.", start=3, speaker="B"), draft=True))
    done = movie.run()
    assert movie.names() == ["en.ass", "en.json", "en.rttm", "en.srt", "en.txt", "en.vtt"]
    assert movie.text("A_Movie.en.srt") == (
        "1\n00:00:00,000 --> 00:00:01,416\nWhere is he?\n\n2\n00:00:03,000 --> 00:00:04,416\nGone, I fear.\n\n"
    )
    assert movie.text("A_Movie.en.vtt").startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.416\n<v Speaker A>Where is he?</v>\n")
    assert movie.text("A_Movie.en.txt") == "Speaker A: Where is he?\nSpeaker B: Gone, I fear.\n"
    assert [(t.file, t.format, t.language, t.title, t.default, t.num_cues) for t in movie.tracks()] == [
        (f"A_Movie.en.{form}", form, "en", "English (reelscribe, draft)", True, 2) for form in ("srt", "vtt", "ass")
    ]
    assert "en: 2 cues, all within the limits" in done.stderr


def test_only_the_formats_asked_for_are_written(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Where is he?")))
    movie.run("--formats=srt,txt")
    assert movie.names() == ["en.srt", "en.txt"]
    done = movie.run("--formats=srt,doc", check=False)
    assert done.returncode == 2
    assert "SUBTITLE_FORMATS='srt,doc'" in done.stderr


def test_a_second_run_writes_the_same_bytes(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Where is he now, and who is with him?"), segment_of("Gone.", start=3, speaker="B")))
    movie.run()
    first = {path.name: path.read_bytes() for path in (movie.dir / "subtitles").iterdir()}
    movie.run("--force")
    assert {path.name: path.read_bytes() for path in (movie.dir / "subtitles").iterdir()} == first


def test_the_language_is_what_was_asked_for_else_what_was_heard(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("वह कहाँ है?"), language="hi"))
    movie.run("--formats=srt,vtt")
    assert movie.names() == ["hi.srt", "hi.vtt"]
    assert movie.tracks()[0].title == "Hindi (reelscribe)"
    movie.run("--formats=srt,vtt", "--language=deu")
    assert movie.names() == ["de.srt", "de.vtt"]
    movie.run("--formats=srt,vtt", "--translate")
    assert movie.names() == ["en.srt", "en.vtt"]


def test_nothing_said_gives_empty_files_and_says_so(movie: Movie) -> None:
    movie.put(transcript_of())
    done = movie.run()
    assert "no words were recognised: the subtitles are empty" in done.stderr
    assert movie.text("A_Movie.en.srt") == ""
    assert movie.text("A_Movie.en.vtt") == "WEBVTT\n\n"
    assert {t.num_cues for t in movie.tracks()} == {0}
    assert movie.qc().tracks[0].cues == []


def test_a_missing_transcript_is_named_with_its_remedy(movie: Movie) -> None:
    movie.put(transcript_of())
    (movie.dir / "corrected/transcript.json").unlink()
    done = movie.run(check=False)
    assert done.returncode == 3
    assert "run the stage post-ner first" in done.stderr


# -- limits -------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_kept_is_told_with_rule_and_cue(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("A calm beginning."), segment_of(" ".join(["unbelievable"] * 12), start=10, each_s=0.2)))
    done = movie.run()
    assert "not kept: characters a second ×" in done.stderr
    (track,) = movie.qc().tracks
    assert track.cues[0].lines == ["A calm beginning."]
    assert {v.rule for v in track.violations} == {"characters a second"}
    for violation in track.violations:
        assert violation.cue > 1
        assert violation.value == track.cues[violation.cue - 1].cps > violation.limit == 20


def test_a_cue_tells_its_words_and_doubts(movie: Movie) -> None:
    doubtful = segment_of("Is it?", start=5, number=1).model_copy(update={"marks": ["unsure"]})
    movie.put(transcript_of(segment_of("It is him."), doubtful))
    movie.run()
    first, second = movie.qc().tracks[0].cues
    assert (first.id, first.words, first.marks, first.speakers) == (1, (0, 2), [], ["Speaker A"])
    assert (second.id, second.words, second.marks) == (2, (3, 4), ["unsure"])


def test_what_asr_does_not_vouch_for_is_hidden_when_asked(movie: Movie) -> None:
    marked = [
        segment_of(f"{word} one.", start=3 * n, number=n).model_copy(update={"marks": marks})
        for n, (word, marks) in enumerate([("Good", []), ("Bad", ["loop"]), ("Late", ["engine-times"])])
    ]
    movie.put(transcript_of(*marked))
    movie.run()
    assert [cue.lines for cue in movie.qc().tracks[0].cues] == [["Good one."], ["Bad one."], ["Late one."]]
    done = movie.run("--quarantined=hide")
    assert "segments that are not shown, as asr does not vouch for them: 1" in done.stderr
    qc = movie.qc()
    assert [cue.lines for cue in qc.tracks[0].cues] == [["Good one."], ["Late one."]]
    assert [cue.words for cue in qc.tracks[0].cues] == [(0, 1), (4, 5)]
    assert [(h.text, h.marks) for h in qc.hidden] == [("Bad one.", ["loop"])]
    for name in ("srt", "vtt", "ass", "txt", "json"):
        assert "Bad" not in movie.text(f"A_Movie.en.{name}")


def test_a_profile_changes_the_limits(movie: Movie) -> None:
    said = "Nobody has ever seen him since that morning now."  # 48 characters
    movie.put(transcript_of(segment_of(said)))
    lines = {}
    for profile in ("netflix", "bbc", "relaxed"):
        movie.run(f"--profile={profile}")
        lines[profile] = [len(cue.lines) for cue in movie.qc().tracks[0].cues]
    assert lines == {"netflix": [2], "bbc": [2], "relaxed": [1]}


def test_a_profile_of_ones_own_extends_another_and_an_edit_of_it_is_noticed(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Nobody has seen him.")))
    mine = movie.dir.parent / "mine.json"
    mine.write_text('{"extends": "netflix", "chars": {"default": 12}}')
    movie.run(f"--profile={mine}")
    assert [cue.lines for cue in movie.qc().tracks[0].cues] == [["Nobody has", "seen him."]]
    assert movie.qc().tracks[0].limits["characters a second"] == 20, "what mine does not say is the other's"
    mine.write_text('{"extends": "netflix", "chars": {"default": 30}}')
    movie.run(f"--profile={mine}")
    assert [cue.lines for cue in movie.qc().tracks[0].cues] == [["Nobody has seen him."]]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"extends": "netflix", "chars": {"en": 12}}', "chars: Value error"),
        ('{"extends": "netflix", "gap": 2}', "gap: Extra inputs"),
        ("[]", "it is no JSON object"),
        ("{", "Expecting property name"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_profile_that_is_none_is_refused(movie: Movie, content: str | None, said: str) -> None:
    movie.put(transcript_of(segment_of("Nobody has seen him.")))
    mine = movie.dir.parent / "mine.json"
    if content:
        mine.write_text(content)
    done = movie.run(f"--profile={mine}", check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "SUBTITLE_PROFILE takes bbc, netflix, relaxed" in done.stderr


def test_children_read_more_slowly(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Nobody has seen him.")))
    movie.run("--audience=children")
    assert movie.qc().tracks[0].limits["characters a second"] == 17


def test_names_of_the_glossary_stay_in_one_line(movie: Movie) -> None:
    said = segment_of("everybody visited lovely hill road station again yesterday")
    movie.put(transcript_of(said))
    movie.run()
    assert movie.qc().tracks[0].cues[0].lines == ["everybody visited lovely hill", "road station again yesterday"]
    movie.put(transcript_of(said), terms=[Term(text="Hill Road Station", kind="place", weight=1, source="test")])
    movie.run()
    assert movie.qc().tracks[0].cues[0].lines == ["everybody visited lovely", "hill road station again yesterday"]


# -- speakers and languages ---------------------------------------------------------------------------------------------


def test_sdh_names_whoever_begins_to_speak(movie: Movie) -> None:
    turns = [segment_of("Ready?"), segment_of("Always.", start=3, speaker="B"), segment_of("Then we go.", start=6, speaker="B")]
    movie.put(transcript_of(*turns))
    movie.run("--sdh")
    assert [cue.lines for cue in movie.qc().tracks[0].cues] == [["[Speaker A] Ready?"], ["[Speaker B] Always."], ["Then we go."]]
    assert movie.names()[-1] == "en.txt"
    assert {(t.file, t.title, t.hearing_impaired) for t in movie.tracks()} == {
        (f"A_Movie.en.sdh.{form}", "English SDH (reelscribe)", True) for form in ("srt", "vtt", "ass")
    }


HINDI = segment_of("वह कहाँ है? मुझे नहीं पता।", number=0)
ENGLISH = [segment_of("Where is he?", source=(0, 2)), segment_of("I do not know.", start=0.9, number=1, source=(3, 5))]


def test_a_film_that_is_mostly_in_english_has_one_english_track_with_the_foreign_lines_translated(movie: Movie) -> None:
    english = segment_of("Good morning to you.", start=20, number=1)
    translation = [*ENGLISH, english.model_copy(update={"id": 2, "source": (6, 9)})]
    movie.put(transcript_of(HINDI, english, language="en", translation=translation))
    movie.run("--translate")
    assert [(t.language, t.default) for t in movie.tracks() if t.format == "srt"] == [("en", True)]
    (track,) = movie.qc().tracks
    text = " ".join(line for cue in track.cues for line in cue.lines)
    assert "Where is he?" in text and "Good morning to you." in text and "वह" not in text


def test_a_translation_and_what_was_said_are_linked(movie: Movie) -> None:
    movie.put(transcript_of(HINDI, language="hi", translation=ENGLISH))
    movie.run("--translate")
    assert [(t.language, t.title, t.default) for t in movie.tracks() if t.format == "srt"] == [
        ("hi", "Hindi (reelscribe)", False),
        ("en", "English (reelscribe)", True),
    ]
    hindi, english = movie.qc().tracks
    assert [cue.id for cue in hindi.cues] == list(range(1, len(hindi.cues) + 1))
    covered = [hindi.cues[number - 1].words for cue in english.cues for number in cue.source]
    assert {n for first, last in covered for n in range(first, last + 1)} == set(range(6))
    movie.run()
    assert movie.names() == ["hi.ass", "hi.json", "hi.rttm", "hi.srt", "hi.txt", "hi.vtt"]


@pytest.mark.parametrize("fps", [None, "24000/1001", "25", "30000/1001", "60000/1001"])
def test_no_cue_outlasts_the_movie(movie: Movie, fps: str | None) -> None:
    movie.put(transcript_of(segment_of("Where is he?", start=58.9)), fps=fps)
    transcript = read_json(movie.dir / "corrected/transcript.json", Transcript)
    transcript.segments[0].end = transcript.segments[0].words[-1].end = 60.0
    write_json(movie.dir / "corrected/transcript.json", transcript)
    movie.run("--formats=srt")
    (cue,) = movie.qc().tracks[0].cues
    assert 59.95 < cue.end <= 60


def test_one_language_alone_makes_no_bilingual_file_and_that_is_said(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Where is he?")))
    assert "no bilingual file" in movie.run("--bilingual", "--formats=srt").stderr
    assert movie.names() == ["en.srt"]


def test_both_languages_in_one_file_when_asked(movie: Movie) -> None:
    untranslated = segment_of("और एक बात।", start=20, number=1)
    movie.put(transcript_of(HINDI, untranslated, language="hi", translation=ENGLISH))
    movie.run("--translate", "--bilingual")
    blocks = [block.splitlines()[2:] for block in movie.text("A_Movie.hi-en.srt").strip().split("\n\n")]
    assert blocks == [["वह कहाँ है? मुझे नहीं पता।", "Where is he? I do not know."], ["और एक बात।"]]
    both = next(t for t in movie.tracks() if t.file == "A_Movie.hi-en.srt")
    assert (both.title, both.language, both.default, both.num_cues) == ("Hindi + English (reelscribe)", "en", False, 2)


# -- shot changes -------------------------------------------------------------------------------------------------------


def two_shots(make_movie: MakeMovie, path: Path) -> Path:
    """Two seconds of a dark picture, two of another."""
    switch = "drawbox=color=black:t=fill:enable='lt(t,2)',drawbox=w=32:color=white:t=fill:enable='gte(t,2)'"
    return make_movie(path, seconds=4.0, options=("-vf", switch))


def test_cues_keep_off_shot_changes(movie: Movie, make_movie: MakeMovie) -> None:
    two_shots(make_movie, movie.file)
    movie.put(transcript_of(segment_of("Where is he?", start=1.8), segment_of("Who?", start=0.2, number=1)), picture=True)
    done = movie.run()
    assert "shot changes: 1" in done.stderr
    assert read_json(movie.dir / "subtitles/shots.json", Shots).cuts == [2.0]
    assert [(cue.start, cue.lines) for cue in movie.qc().tracks[0].cues] == [(0.166, ["Who?"]), (2.0, ["Where is he?"])]
    assert movie.qc().shots
    movie.run("--shot-changes=false")
    assert [cue.start for cue in movie.qc().tracks[0].cues] == [0.166, 1.791]
    assert not movie.qc().shots
    assert not (movie.dir / "subtitles/shots.json").exists()


def test_shot_changes_are_found_once(movie: Movie, make_movie: MakeMovie) -> None:
    two_shots(make_movie, movie.file)
    movie.put(transcript_of(segment_of("Where is he?", start=1.8)), picture=True)
    assert "looking for shot changes" in movie.run().stderr
    movie.put(transcript_of(segment_of("Where is she?", start=1.8)), picture=True)
    again = movie.run()
    assert "looking for shot changes" not in again.stderr
    assert "shot changes: 1" in again.stderr
    assert "looking for shot changes" in movie.run("--force").stderr


def test_of_a_sample_only_what_is_heard_is_looked_at(movie: Movie, make_movie: MakeMovie) -> None:
    two_shots(make_movie, movie.file)
    movie.put(transcript_of(segment_of("Where is he?", start=0.2)), picture=True, heard_s=1.5)
    assert "shot changes: 0" in movie.run().stderr
    movie.put(transcript_of(segment_of("Where is he?", start=0.2)), picture=True)
    assert "shot changes: 1" in movie.run().stderr


def test_a_movie_whose_picture_cannot_be_decoded_gets_its_subtitles(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Where is he?", start=1.8)), picture=True)
    done = movie.run()
    assert "shot changes are not known" in done.stderr
    manifest = json.loads((movie.dir / "manifests/09_subtitle-gen.json").read_text())
    assert manifest["status"] == "done"
    assert any("shot changes are not known" in fallback for fallback in manifest["fallbacks"])
    assert "Where is he?" in movie.text("A_Movie.en.srt")


def test_a_detector_that_is_killed_says_nothing_about_the_movie(movie: Movie, make_movie: MakeMovie, tmp_path: Path) -> None:
    two_shots(make_movie, movie.file)
    movie.put(transcript_of(segment_of("Where is he?", start=1.8)), picture=True)
    killed = tmp_path / "ffmpeg"
    killed.write_text(
        f'#!/bin/sh\ncase "$*" in *scdet*) kill -9 $$ ;; esac\nexec "{imageio_ffmpeg.get_ffmpeg_exe()}" "$@"\n', encoding="utf-8"
    )
    killed.chmod(0o755)
    done = movie.run(f"--ffmpeg={killed}", check=False)
    assert done.returncode == 6
    assert "SIGKILL" in done.stderr
    assert "shot changes: 1" in movie.run().stderr


def test_sound_alone_and_profiles_that_do_not_ask_need_no_detector(movie: Movie) -> None:
    movie.put(transcript_of(segment_of("Where is he?")), fps=None)
    assert "there is no picture" in movie.run().stderr
    movie.put(transcript_of(segment_of("Where is he?")), picture=True)
    assert "shot changes" not in movie.run("--profile=relaxed").stderr
