"""What is known of the movie: title, year, cast with characters, crew, keywords.

From TMDB (themoviedb.org) when TMDB_TOKEN holds an account's "API Read Access Token"; what it does not say comes from the .nfo
(Kodi, Jellyfin) or movie.json beside the movie, then from the file name. Without a token, a network or a sure match the stage
says so and goes on with the rest; whom the search found, and with which scores, is kept all the same. Answers are kept for up to
six months in the movie directory (metadata/cache) and per user.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from reelscribe.artifacts import read_json, write_json
from reelscribe.device_manager import Device
from reelscribe.schemas import Candidate, Media, Metadata
from reelscribe.settings import LanguageOption, StageOptions, option
from reelscribe.stage import Context, Engine, Stage, StageFiles, artifact, main, movie_file
from tmdb import sidecar
from tmdb.fields import Source, merge

if TYPE_CHECKING:
    from tmdb.client import Client
    from tmdb.lookup import Lookup
    from tmdb.match import Wanted

SIX_MONTHS_DAYS = 180
CHECK_TITLE = "Dhoom.2.2006.1080p.mkv"


class Options(StageOptions, LanguageOption):
    tmdb_token: SecretStr | None = option(
        None, env="TMDB_TOKEN", affects_output=False, help="API Read Access Token of a TMDB account; without it TMDB is not asked"
    )
    tmdb_id: int | None = option(None, env="TMDB_ID", ge=1, help="the movie's number at themoviedb.org, when the search is in doubt")
    tmdb_url: str = option(
        "https://api.themoviedb.org/3",
        env="TMDB_URL",
        pattern=r"^(https://[^\s@/?#]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/[^\s@?#]*)?$",
        personal=True,
        help="address of TMDB's API; https, or http on this machine",
    )
    tmdb_cache_dir: Path = option(
        Path("~/.cache/reelscribe/tmdb"), env="TMDB_CACHE_DIR", affects_output=False, help="folder with TMDB's answers, for all movies"
    )
    tmdb_cache_days: int = option(
        SIX_MONTHS_DAYS,
        env="TMDB_CACHE_DAYS",
        unit="days",
        ge=0,
        le=SIX_MONTHS_DAYS,
        affects_output=False,
        help="how long TMDB's answers are used; its terms allow six months",
    )
    tmdb_timeout_s: float = option(
        10.0, env="TMDB_TIMEOUT_S", unit="s", gt=0, le=120, affects_output=False, help="how long to wait for TMDB before trying again"
    )

    @property
    def asks_tmdb(self) -> bool:
        """Whether there is a key and a network to use it on."""
        return not self.offline and bool(self.tmdb_token and self.tmdb_token.get_secret_value().strip())


class Inputs(StageFiles):
    movie: Path = movie_file()
    media: Path | None = artifact("media.json", schema=Media)


class Outputs(StageFiles):
    metadata: Path = artifact("metadata/tmdb.json", schema=Metadata)


def engine(options: Options) -> Engine:
    # Also part of the fingerprint: with a key that was not there before, the stage runs again.
    name = "TMDB" if options.asks_tmdb else "files beside the movie"
    return Engine(name=name, packages=("guessit", "rapidfuzz"))


def facts(movie: Path, options: Options) -> dict[str, str | Path | None]:
    return {"file name": movie.name, **{path.name: path for path in sidecar.find(movie)}}


def run(ctx: Context[Options, Inputs, Outputs]) -> None:
    known = [*read_sidecars(ctx), read_name(ctx.movie)]
    online, candidates = ask_tmdb(ctx, known)
    metadata = merge([*online, *known]).model_copy(update={"candidates": candidates})
    write_json(ctx.outputs.metadata, metadata)
    used = list(dict.fromkeys(metadata.sources.values()))
    year = f" ({metadata.year})" if metadata.year else ""
    ctx.log.info("%s%s, %d in the cast, from %s", metadata.title, year, len(metadata.cast), " and ".join(used))


def read_sidecars(ctx: Context[Options, Inputs, Outputs]) -> list[Source]:
    """What the files beside the movie know; one that cannot be used is said and left out."""
    found = []
    for path in sidecar.find(ctx.movie):
        try:
            found.append(sidecar.read(path))
        except sidecar.SidecarError as error:
            ctx.fallback(str(error))
    return found


def read_name(movie: Path) -> Source:
    from tmdb import filename

    return filename.read(movie)


def ask_tmdb(ctx: Context[Options, Inputs, Outputs], known: list[Source]) -> tuple[list[Source], list[Candidate]]:
    """What TMDB knows (or the cache of it), as no or one source, and whom a search found; why there is no source is said."""
    from tmdb import answers
    from tmdb.client import NotCachedError, TmdbError

    once_mended = ""
    candidates: list[Candidate] = []
    try:
        client = make_client(ctx.options, [ctx.movie_dir / "metadata" / "cache", ctx.options.tmdb_cache_dir])
        found = look_up(ctx, client, merge(known))
    except NotCachedError as error:
        why_not = f"OFFLINE, and {error}" if ctx.options.offline else "no TMDB_TOKEN"
    except TmdbError as error:
        # Neither another key nor a network that works again makes the stage out of date.
        why_not, once_mended = str(error), "; --only tmdb --force asks TMDB again"
    else:
        candidates = [scored.recorded for scored in found.ranked]
        if found.movie:
            return [answers.source(found.movie, None if ctx.options.language == "auto" else ctx.options.language)], candidates
        why_not = found.why_not
    given = [Source("TMDB_ID", {"tmdb_id": ctx.options.tmdb_id})] if ctx.options.tmdb_id else []
    ctx.fallback(f"{why_not}: the movie is described by " + " and ".join(source.name for source in known) + once_mended)
    return given, candidates


def make_client(options: Options, folders: list[Path]) -> Client:
    """folders: where answers are kept."""
    from tmdb.cache import AnswerCache
    from tmdb.client import Client

    cache = AnswerCache(folders, timedelta(days=options.tmdb_cache_days))
    return Client(options.tmdb_url, options.tmdb_token, cache, options.asks_tmdb, options.tmdb_timeout_s)


def look_up(ctx: Context[Options, Inputs, Outputs], client: Client, known: Metadata) -> Lookup:
    """By the id the user gave, by an id in the .nfo or the file name, by title and year. Raises TmdbError."""
    from tmdb import filename, lookup
    from tmdb.client import NotFoundError

    if ctx.options.tmdb_id:
        return lookup.Lookup(lookup.by_id(client, ctx.options.tmdb_id))
    try:
        if known.tmdb_id:
            return lookup.Lookup(lookup.by_id(client, known.tmdb_id))
        if known.imdb_id:
            return lookup.Lookup(lookup.by_imdb_id(client, known.imdb_id))
    except NotFoundError as error:
        ctx.log.warning("%s, as %s says; searching by title", error, known.sources.get("tmdb_id") or known.sources.get("imdb_id"))
    if known.sources["title"] == filename.SOURCE and filename.is_episode(ctx.movie):
        return lookup.Lookup(why_not="the file name is an episode's, and TMDB is asked for movies only")
    return lookup.by_title(client, wanted(ctx, known))


def wanted(ctx: Context[Options, Inputs, Outputs], known: Metadata) -> Wanted:
    """What the search is judged by."""
    from tmdb.match import Wanted

    media = read_json(ctx.inputs.media, Media) if ctx.inputs.media else None
    said = ctx.options.language if ctx.options.language != "auto" else media.audio.language if media else None
    return Wanted(
        titles=tuple(t for t in (known.title, known.original_title) if t),
        year=known.year,
        runtime_min=media.duration / 60 if media else known.runtime_min,
        language=said,
    )


def check(options: Options, device: Device) -> str:
    from tmdb import filename
    from tmdb.answers import Answer
    from tmdb.client import TmdbError

    guessed = filename.read(Path(CHECK_TITLE)).fields
    said = f"file names: {guessed['title']} ({guessed['year']})"
    if not options.asks_tmdb:
        return f"{said}; TMDB is not asked ({'OFFLINE' if options.offline else 'no TMDB_TOKEN'})"
    try:
        make_client(options, folders=[]).get("/authentication", Answer)
    except TmdbError as error:
        return f"{said}; {error}"
    return f"{said}; TMDB accepts the key"


STAGE = Stage(name="tmdb", revision=2, options=Options, inputs=Inputs, outputs=Outputs, engine=engine, run=run, check=check, facts=facts)

if __name__ == "__main__":
    main(STAGE)
