"""post-ner: joins the words with the speakers' turns and mends names that the glossary knows.

Every word gets the speaker of its turn (or `unknown`, where no turn is near), segments are split where the speaker changes, and
names spelt wrong are replaced by the glossary's spelling. Each change is in corrected/corrections.json with its scores.

Voices are suggested as characters from what they call each other and themselves; corrected/speakers.json says why and how sure that is.
It may be edited: write a voice's `name`. It is used at once by the later stages and survives a new run of this one, even when
diarization numbers its voices differently. native/pipeline.sh --corrections DIR shows what was mended and takes decisions about it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from post_ner import frequency, translated, turns
from reelscribe import edits, reviewed
from reelscribe.artifacts import read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.languages import joiner
from reelscribe.schemas import Correction, Corrections, Diarization, Glossary, Metadata, Segment, Speakers, Transcript
from reelscribe.settings import GlossaryOption, StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main

if TYPE_CHECKING:
    from post_ner.characters import Suggestion


class Options(StageOptions, GlossaryOption):
    """What can be set."""

    correct_names: bool = option(True, env="CORRECT_NAMES", help="mend names that the glossary knows; false: speakers only")


class Inputs(StageFiles):
    """Files read."""

    transcript: Path = artifact("transcription/transcript.json", schema=Transcript)
    diarization: Path = artifact("diarization/diarization.json", schema=Diarization)
    glossary: Path = artifact("glossary/glossary.json", schema=Glossary)
    metadata: Path | None = artifact("metadata/tmdb.json", schema=Metadata)
    audio: Path | None = artifact("audio/audio.wav")


class Outputs(StageFiles):
    """Files written."""

    transcript: Path = artifact("corrected/transcript.json", schema=Transcript)
    corrections: Path = artifact("corrected/corrections.json", schema=Corrections)
    speakers: Path = artifact("corrected/speakers.json", schema=Speakers)


def engine(options: Options) -> Engine:
    """String distances, phonetic codes and word frequencies."""
    return Engine(name="rapidfuzz", packages=("rapidfuzz", "jellyfish", "wordfreq"))


def facts(movie: Path, options: Options) -> dict[str, str | Path | None]:
    """What reviews wrote into the user's glossary file; the rest of it comes with the glossary."""
    return {"reviewed": "\n".join(reviewed.lines(reviewed.glossary_file(movie, options.glossary)))}


def reviewed_since(movie_dir: Path, options: Options) -> bool:
    """Whether the user decided about single places since, or wrote over words."""
    ledger = movie_dir / "corrected/corrections.json"
    followed = read_json(ledger, Corrections).reviewed if ledger.is_file() else ""
    return followed != reviewed.digest(reviewed.in_places(movie_dir)) or edits.since(movie_dir)


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    """Speakers, names, names of speakers."""
    from post_ner import naming

    transcript = read_json(ctx.inputs.transcript, Transcript)
    diarization = read_json(ctx.inputs.diarization, Diarization)
    exclusive = turns.Turns(diarization.exclusive)
    kept = kept_names(ctx, exclusive)

    spoken = with_speakers(transcript, exclusive)
    # Who talks says which names are likely, and names say who talks: first the names alone, then the voices, then the names again.
    segments, corrections = mended(ctx, transcript, spoken, {})
    suggested = characters_of(ctx, transcript.language, segments, diarization, kept)
    speakers = naming.named(naming.in_order(segments, diarization), diarization, kept, suggested)
    if called := naming.words_by_voice(speakers):
        segments, corrections = mended(ctx, transcript, spoken, called)
    translation, of_translation = translation_of(ctx, transcript, spoken, segments, called)

    decided = reviewed.digest(reviewed.in_places(ctx.movie_dir))
    ledger = corrections.model_copy(update={"translation": of_translation, "reviewed": decided})
    segments, translation, ledger = edits.follow(ctx.movie_dir, transcript, segments, translation, ledger)
    report(ctx, segments, ledger, speakers)
    write_json(ctx.outputs.corrections, ledger)
    write_json(ctx.outputs.transcript, transcript.model_copy(update={"segments": segments, "translation": translation}))
    write_json(ctx.outputs.speakers, speakers)


def kept_names(ctx: Context[Options, Inputs, Outputs], exclusive: turns.Turns) -> dict[str, str]:
    """Names the user wrote into the files of an earlier run, by today's labels."""
    from post_ner import naming

    if not ctx.outputs.speakers.is_file():
        return {}
    before = read_json(ctx.outputs.transcript, Transcript) if ctx.outputs.transcript.is_file() else None
    return naming.kept_names(read_json(ctx.outputs.speakers, Speakers), before, exclusive)


def with_speakers(transcript: Transcript, exclusive: turns.Turns) -> list[Segment]:
    """The segments with their speakers, split where the speaker changes, and numbered anew."""
    between = joiner(transcript.language)
    pieces = [piece for segment in transcript.segments for piece in turns.with_speakers(segment, exclusive, between)]
    return [piece.model_copy(update={"id": number}) for number, piece in enumerate(pieces)]


def characters_of(
    ctx: Context[Options, Inputs, Outputs], language: str, segments: list[Segment], diarization: Diarization, kept: dict[str, str]
) -> dict[str, Suggestion]:
    """The likeliest character of each voice that has one. Pitch is measured only where the cast says who is a woman or a man."""
    from post_ner import characters, voice

    metadata = read_json(ctx.inputs.metadata, Metadata) if ctx.inputs.metadata else Metadata(title="")
    played = characters.of_glossary(read_json(ctx.inputs.glossary, Glossary))
    genders = characters.genders_of(played, metadata.cast)
    voices = voice.sounds_like(ctx.inputs.audio, diarization.exclusive) if genders and ctx.inputs.audio else {}
    talk_s = {speaker.label: speaker.total_s for speaker in diarization.speakers}
    return characters.suggest(segments, played, language=language, talk_s=talk_s, settled=kept, voices=voices, genders=genders)


def mended(
    ctx: Context[Options, Inputs, Outputs], transcript: Transcript, segments: list[Segment], called: dict[str, frozenset[str]]
) -> tuple[list[Segment], Corrections]:
    """The segments with names mended, and the ledger; called: the words of each voice's name, where it has one."""
    from post_ner.correct import Corrector, is_cased
    from post_ner.decision import THRESHOLD

    language = transcript.language
    if not ctx.options.correct_names:
        return segments, Corrections(corrections=[], threshold=THRESHOLD)
    if not joiner(language):
        ctx.fallback(f"names are not mended in {language}: its script has no spaces between words")
        return segments, Corrections(corrections=[], threshold=THRESHOLD)
    if not frequency.listed(language):
        ctx.fallback(f"there is no list of common words in {language}: only English ones are protected from being taken for names")
    decisions = reviewed.read(ctx.movie_dir, reviewed.glossary_file(ctx.movie, ctx.options.glossary))
    glossary = reviewed.with_terms(read_json(ctx.inputs.glossary, Glossary), decisions.terms)
    # A draft's small letters say nothing: its recogniser knows no capitals but those of the glossary.
    cased = is_cased(segments) and not transcript.draft
    corrector = Corrector(glossary, frequency.Usage(language), cased=cased, language=language, decisions=decisions)
    return corrector.correct(segments, called)


def translation_of(
    ctx: Context[Options, Inputs, Outputs],
    transcript: Transcript,
    spoken: list[Segment],
    mended_segments: list[Segment],
    called: dict[str, frozenset[str]],
) -> tuple[list[Segment] | None, list[Correction]]:
    """The English segments with their speakers, their names mended too, and what was mended in them."""
    if transcript.translation is None:
        return None, []
    before, after = translated.words_of(spoken), translated.words_of(mended_segments)
    linked = translated.relinked(translated.with_speaker(transcript.translation, before), before, after)
    english = transcript.model_copy(update={"language": "en"})
    found, ledger = mended(ctx, english, linked, called)
    return found, ledger.corrections


def report(ctx: Context[Options, Inputs, Outputs], segments: list[Segment], corrections: Corrections, speakers: Speakers) -> None:
    """What a user wants to know, and the facts for the manifest."""
    unknown = sum(word.speaker == turns.UNKNOWN for segment in segments for word in segment.words)
    changed = Counter(f"{c.old} → {c.new}" for c in corrections.corrections)
    lost = f", words without a speaker: {unknown}" if unknown else ""
    ctx.log.info("speakers: %d, segments: %d%s", len(speakers.speakers), len(segments), lost)
    most = ", ".join(f"{change} (×{times})" if times > 1 else change for change, times in changed.most_common(5))
    ctx.log.info("names mended: %d%s", len(corrections.corrections), f" ({most}{', …' if len(changed) > 5 else ''})" if most else "")
    for speaker in (s for s in speakers.speakers if s.suggested and s.confidence is not None):
        shown = "named so" if speaker.name == speaker.suggested else f"shown as {speaker.name}"
        ctx.log.info("%s may be %s (%.2f, %s)", speaker.label, speaker.suggested, speaker.confidence, shown)
    ctx.note("speakers", len(speakers.speakers))
    ctx.note("speakers_named", sum(s.name == s.suggested for s in speakers.speakers))
    ctx.note("corrections", len(corrections.corrections))
    ctx.note("corrections_undone", len(corrections.undone))
    ctx.note("corrections_of_translation", len(corrections.translation))
    ctx.note("words_without_speaker", unknown)


def check(options: Options, device: Device) -> str:
    """Mend one name."""
    from post_ner.correct import Corrector
    from reelscribe.schemas import Term, Word

    glossary = Glossary(terms=[Term(text="Jaidev Rathore", kind="character", weight=1, source="check")], pipeline="check")
    words = [Word(word=text, start=i, end=i + 1) for i, text in enumerate(["Then", "Inspector", "Rathor", "came"])]
    segment = Segment(id=0, start=0, end=4, text="Then Inspector Rathor came", words=words)
    (after,), _ = Corrector(glossary, frequency.Usage("en"), cased=True).correct([segment])
    return f"{segment.text!r} became {after.text!r}"


STAGE = Stage(
    name="post-ner",
    revision=2,
    options=Options,
    inputs=Inputs,
    outputs=Outputs,
    engine=engine,
    run=run,
    check=check,
    facts=facts,
    redo=reviewed_since,
)

if __name__ == "__main__":
    main(STAGE)
