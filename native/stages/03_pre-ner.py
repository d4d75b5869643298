"""The movie's glossary: people, characters, places, organisations and titles that may be named in it, and when.

Terms come from the metadata, by spaCy from the plot, the keywords and the chapters' titles, and from the user's own glossary file
(GLOSSARY, else glossary.txt beside the movie), one entry on a line:

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

from pre_ner import glossary_file, pipelines
from reelscribe.artifacts import read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.schemas import BiasWindows, Glossary, Media, Metadata, Term
from reelscribe.settings import StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main, movie_file

if TYPE_CHECKING:
    from pre_ner.entities import Finder
    from pre_ner.glossary_file import UserGlossary
    from pre_ner.terms import Evidence

CHECK_TEXT = "The train left Victoria Station when Inspector Rathore met Jai in Mumbai."


class Options(StageOptions):
    glossary: Path | None = option(
        None, env="GLOSSARY", affects_output=False, help="your own terms, one on a line; default: glossary.txt beside the movie"
    )
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


class Outputs(StageFiles):
    glossary: Path = artifact("glossary/glossary.json", schema=Glossary)
    bias_windows: Path = artifact("glossary/bias_windows.json", schema=BiasWindows)


def engine(options: Options) -> Engine:
    trained = pipelines.installed(options.models_dir)
    return Engine(name="spaCy", packages=("spacy",), model=", ".join(map(str, trained)) or "blank + entity_ruler")


def facts(movie: Path, options: Options) -> dict[str, str | Path | None]:
    trained = {str(t): t.folder / "meta.json" for t in pipelines.installed(options.models_dir)}
    return {"glossary": glossary_file.find(movie, options.glossary), **trained}


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    from pre_ner import windows

    media = read_json(ctx.inputs.media, Media)
    metadata = read_json(ctx.inputs.metadata, Metadata)
    user = read_user_glossary(ctx)
    finder = make_finder(ctx, metadata)
    terms, evidence = collect(metadata, media, user, finder)
    options = ctx.options
    plan = windows.plan(
        media.duration, terms, evidence, window_s=options.bias_window_s, stride_s=options.bias_stride_s, limit=options.bias_terms
    )
    write_json(ctx.outputs.glossary, Glossary(terms=terms, replacements=user.replacements, never=user.never, pipeline=finder.pipeline))
    write_json(ctx.outputs.bias_windows, plan)
    ctx.note("pipeline", finder.pipeline)
    ctx.log.info("%d terms%s, %d bias windows", len(terms), summary(terms), len(plan.windows))


def read_user_glossary(ctx: Context[Options, Inputs, Outputs]) -> UserGlossary:
    path = glossary_file.find(ctx.movie, ctx.options.glossary)
    if path is None:
        return glossary_file.UserGlossary()
    user = glossary_file.read(path)
    ctx.log.info("%s: %d terms, %d replacements, %d words to leave alone", path, len(user.terms), len(user.replacements), len(user.never))
    return user


def make_finder(ctx: Context[Options, Inputs, Outputs], metadata: Metadata) -> Finder:
    """What finds names in texts; says when it is no trained pipeline."""
    from pre_ner import entities, terms
    from pre_ner.names import Name

    known = [Name(term.text, tuple(term.variants)) for term in terms.characters(metadata)]
    finder = entities.finder(metadata.overview or "", known, pipelines.installed(ctx.options.models_dir))
    for refused in finder.refused:
        ctx.fallback(refused)
    if finder.pipeline.startswith("blank"):
        ctx.fallback(f"no trained spaCy pipeline: names in the plot are found by rules ({finder.pipeline})")
    return finder


def collect(metadata: Metadata, media: Media, user: UserGlossary, finder: Finder) -> tuple[list[Term], list[Evidence]]:
    """All terms, the heaviest first, and what is known of when they are said."""
    from pre_ner import terms

    in_chapters, evidence = terms.from_chapters(media.chapters, finder)
    found = [
        *user.terms,
        *terms.characters(metadata),
        *terms.from_overview(metadata, finder),
        *in_chapters,
        *terms.from_keywords(metadata, finder),
        *terms.titles(metadata),
        *terms.people(metadata),
    ]
    return terms.merged(found), evidence


def summary(terms: list[Term]) -> str:
    """ " (5 characters, 3 persons)"."""
    counts: dict[str, int] = {}
    for term in terms:
        counts[term.kind] = counts.get(term.kind, 0) + 1
    said = [f"{count} {kind}{'s' if count > 1 and kind != 'other' else ''}" for kind, count in counts.items()]
    return f" ({', '.join(said)})" if said else ""


def check(options: Options, device: Device) -> str:
    from pre_ner import entities

    finder = entities.finder(CHECK_TEXT, [], pipelines.installed(options.models_dir))
    found = ", ".join(f"{entity.text} ({entity.kind})" for entity in finder.find(CHECK_TEXT))
    return f"{finder.pipeline}: {found}"


STAGE = Stage(name="pre-ner", revision=1, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check, facts=facts)

if __name__ == "__main__":
    main(STAGE)
