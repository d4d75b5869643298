"""The movie's glossary: people, characters, places, organisations and titles that may be named in it, and when.

Terms come from the metadata, by spaCy from the plot, the keywords and the chapters' titles, from subtitles that the movie has already
(inside it, or beside it as Film.hi.srt), and from the user's own glossary file (GLOSSARY, else glossary.txt beside the movie), one entry
on a line:

    Jaidev Rathore                    a term
    jay dev => Jaidev                 always write the right side
    !Hope                             never touch this word
    00:10:00-00:20:00 Chowpatty       a term that matters only there
    # and comments

The bias windows list the most important terms for every few seconds of the movie; the decoder is told to expect them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import model_validator

from pre_ner import cues, glossary_file, pipelines
from reelscribe import reviewed
from reelscribe.artifacts import read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.schemas import BiasWindows, Glossary, Media, Metadata, Term
from reelscribe.settings import GlossaryOption, LanguageOption, StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main, movie_file

if TYPE_CHECKING:
    from pre_ner.entities import Finders
    from pre_ner.glossary_file import UserGlossary
    from pre_ner.risk import CommonWords

CHECK_TEXT = "The train left Victoria Station when Inspector Rathore met Jai in Mumbai."


class Options(StageOptions, LanguageOption, GlossaryOption):
    bias_window_s: float = option(45.0, env="BIAS_WINDOW_S", unit="s", ge=1, le=600, help="length of a bias window")
    bias_stride_s: float = option(15.0, env="BIAS_STRIDE_S", unit="s", ge=1, le=600, help="a bias window begins every so often")
    bias_terms: int = option(50, env="BIAS_TERMS", ge=0, le=500, help="terms of a bias window at most")

    @model_validator(mode="after")
    def _without_gaps(self) -> Options:
        if self.bias_stride_s > self.bias_window_s:
            raise ValueError("BIAS_STRIDE_S above BIAS_WINDOW_S would leave gaps between the windows")
        return self


class Inputs(StageFiles):
    movie: Path = movie_file()
    media: Path = artifact("media.json", schema=Media)
    metadata: Path = artifact("metadata/tmdb.json", schema=Metadata)
    subtitles: tuple[Path, ...] = artifact("metadata/subtitles/*.srt")


class Outputs(StageFiles):
    glossary: Path = artifact("glossary/glossary.json", schema=Glossary)
    bias_windows: Path = artifact("glossary/bias_windows.json", schema=BiasWindows)


def engine(options: Options) -> Engine:
    trained = pipelines.installed(options.models_dir)
    return Engine(
        name="spaCy",
        packages=("spacy", "indic-transliteration", "pysubs2", "wordfreq"),
        model=", ".join(map(str, trained)) or "blank + entity_ruler",
    )


def facts(movie: Path, options: Options) -> dict[str, str | Path | None]:
    trained = {str(t): t.folder / "meta.json" for t in pipelines.installed(options.models_dir)}
    beside = {path.name: path for path in cues.beside(movie)}
    return {"glossary": glossary_file.without_reviews(reviewed.glossary_file(movie, options.glossary)), **beside, **trained}


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    from pre_ner import risk, subtitles, windows

    media = read_json(ctx.inputs.media, Media)
    metadata = read_json(ctx.inputs.metadata, Metadata)
    user = read_user_glossary(ctx)
    tracks = read_subtitles(ctx)
    languages = spoken(ctx.options, media, metadata)
    common = risk.lists(languages)
    finders = make_finders(ctx, metadata)

    found = collect(metadata, media, user, finders)
    found += new_in_subtitles(tracks, found, finders)
    found = [with_risk(term, common) for term in with_variants(found, tracks, metadata, languages)]
    found = subtitles.mentions(found, tracks)
    options = ctx.options
    plan = windows.plan(media.duration, found, window_s=options.bias_window_s, stride_s=options.bias_stride_s, limit=options.bias_terms)

    say_pipelines(ctx, finders)
    pipeline = ", ".join(finders.pipelines)
    write_json(ctx.outputs.glossary, Glossary(terms=found, replacements=user.replacements, never=user.never, pipeline=pipeline))
    write_json(ctx.outputs.bias_windows, plan)
    ctx.note("pipeline", pipeline)
    ctx.log.info("%d terms%s, %d bias windows", len(found), summary(found), len(plan.windows))


def read_user_glossary(ctx: Context[Options, Inputs, Outputs]) -> UserGlossary:
    path = reviewed.glossary_file(ctx.movie, ctx.options.glossary)
    if path is None:
        return glossary_file.UserGlossary()
    user = glossary_file.read(path)
    ctx.log.info("%s: %d terms, %d replacements, %d words to leave alone", path, len(user.terms), len(user.replacements), len(user.never))
    return user


def read_subtitles(ctx: Context[Options, Inputs, Outputs]) -> list[cues.Track]:
    """Those inside the movie, as demux wrote them, and those beside it; one that cannot be used is said and left out."""
    files = [(path, cues.language_in(path.name)) for path in ctx.inputs.subtitles]
    files += [(path, cues.language_in(path.name[len(ctx.movie.stem) + 1 :])) for path in cues.beside(ctx.movie)]
    tracks = []
    for path, language in files:
        try:
            tracks.append(cues.read(path, language))
        except cues.SubtitlesError as error:
            ctx.fallback(str(error))
    ctx.note("subtitles", {track.name: len(track.cues) for track in tracks})
    return tracks


def spoken(options: Options, media: Media, metadata: Metadata) -> list[str]:
    """The languages spoken in the movie, the likeliest first."""
    said = options.language if options.language != "auto" else None
    return [code for code in dict.fromkeys([said, media.audio.language, metadata.original_language]) if code]


def make_finders(ctx: Context[Options, Inputs, Outputs], metadata: Metadata) -> Finders:
    """What finds names in texts of any language, and knows the characters already."""
    from pre_ner import entities, terms
    from pre_ner.names import Name

    known = [Name(term.text, tuple(term.variants)) for term in terms.characters(metadata)]
    return entities.Finders(known, pipelines.installed(ctx.options.models_dir))


def say_pipelines(ctx: Context[Options, Inputs, Outputs], finders: Finders) -> None:
    for refused in finders.refused:
        ctx.fallback(refused)
    blank = [pipeline for pipeline in finders.pipelines if pipeline.startswith("blank")]
    if blank:
        ctx.fallback(f"no trained spaCy pipeline: names in the plot are found by rules ({', '.join(blank)})")


def collect(metadata: Metadata, media: Media, user: UserGlossary, finders: Finders) -> list[Term]:
    """All terms but those of subtitles, the heaviest first."""
    from pre_ner import terms
    from pre_ner.entities import ENGLISH

    # Chapters and keywords are too short to tell their language: they are in the plot's, and TMDB's in English.
    finder = finders.of(metadata.overview or "", None if metadata.overview else ENGLISH)
    return terms.merged(
        [
            *user.terms,
            *terms.characters(metadata),
            *terms.from_overviews(metadata, finders),
            *terms.from_chapters(media.chapters, finder),
            *terms.from_keywords(metadata, finder),
            *terms.titles(metadata),
            *terms.people(metadata),
        ]
    )


def new_in_subtitles(tracks: list[cues.Track], known: list[Term], finders: Finders) -> list[Term]:
    """Names that only the subtitles know; what one track has found the next one knows."""
    from pre_ner import risk, subtitles

    found: list[Term] = []
    for track in tracks:
        language = track.language or finders.language(track.text)
        common = risk.lists([language])
        finder = finders.of(track.text, language)
        found += subtitles.new_names(track, language, [*known, *found], finder, lambda word, lists=common: risk.is_everyday(word, lists))
    return found


def with_variants(found: list[Term], tracks: list[cues.Track], metadata: Metadata, languages: list[str]) -> list[Term]:
    """The terms with every form in which they are said or written, the heaviest first."""
    from pre_ner import forms, windows

    texts = [*metadata.overviews.values(), metadata.original_title or "", *metadata.alternative_titles]
    customs = forms.customs(languages, [*(word for track in tracks for word in track.words), *" ".join(texts).split()])
    ranked = sorted(found, key=lambda term: -term.weight)
    return [forms.with_forms(term, customs) if term.weight >= windows.LEAST_WEIGHT else term for term in ranked]


def with_risk(term: Term, common: list[CommonWords]) -> Term:
    """The term with those of its words that are common words too."""
    from pre_ner import risk
    from pre_ner.names import is_name

    words = [word for form in (term.text, *term.variants) for word in form.split() if is_name(word) and not {"'", "-"}.intersection(word)]
    return term.model_copy(update={"risky": risk.risky(words, common)})


def summary(terms: list[Term]) -> str:
    """ " (5 characters, 3 persons)"."""
    counts: dict[str, int] = {}
    for term in terms:
        counts[term.kind] = counts.get(term.kind, 0) + 1
    said = [f"{count} {kind}{'s' if count > 1 and kind != 'other' else ''}" for kind, count in counts.items()]
    return f" ({', '.join(said)})" if said else ""


def check(options: Options, device: Device) -> str:
    from pre_ner import entities

    finder = entities.Finders([], pipelines.installed(options.models_dir)).of(CHECK_TEXT)
    found = ", ".join(f"{entity.text} ({entity.kind})" for entity in finder.find(CHECK_TEXT))
    return f"{finder.pipeline}: {found}"


STAGE = Stage(name="pre-ner", revision=2, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check, facts=facts)

if __name__ == "__main__":
    main(STAGE)
