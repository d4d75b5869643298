"""A job: one movie, its directory and what the command line said about it."""

from __future__ import annotations

import difflib
import os
import re
import time
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reelscribe import hub, lease, logger, settings, supervise
from reelscribe.artifacts import atomic_write, movie_identity, refuse_strangers, refuse_unreachable
from reelscribe.errors import BadInputError, BusyError, UsageError
from reelscribe.models import ModelNeed
from reelscribe.stage import Stage, load_contracts
from reelscribe.stage_table import load as load_table

MOVIE_SUFFIXES = frozenset(
    [
        ".3gp",
        ".avi",
        ".flv",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
    ]
)
_NAME_BYTES = 80
# A run writes job.env right after it has taken its directory.
_SETTLE_S = 5.0


# -- movies -------------------------------------------------------------------------------------------------------------


def movies(names: Iterable[str]) -> list[Path]:
    """The movies meant by paths of files and folders, absolute, each once, in order; a folder stands for the movies directly in it.

    Raises BadInputError for what is not there and for a folder without movies.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(os.path.abspath(name))  # noqa: PTH100 — resolve() would follow links, and a link's name is the movie's
        refuse_unreachable(path)
        found.update(dict.fromkeys(_in_folder(path) if path.is_dir() else [_checked(path)]))
    return list(found)


def _in_folder(folder: Path) -> list[Path]:
    inside = [p for p in folder.iterdir() if p.suffix.lower() in MOVIE_SUFFIXES and p.is_file() and not p.name.startswith(".")]
    found = sorted(p for p in inside if not p.stem.endswith(".subtitled"))
    if not found:
        raise BadInputError(f"there is no movie in {folder}", remedy="movies are known by suffix: " + " ".join(sorted(MOVIE_SUFFIXES)))
    return found


def _checked(movie: Path) -> Path:
    if not movie.exists():
        raise BadInputError(f"{movie} is not there", remedy="check the path; quote names with spaces")
    if not movie.is_file():
        raise BadInputError(f"{movie} is no regular file", remedy="give a movie file or a folder of movies")
    if not os.access(movie, os.R_OK):
        raise BadInputError(f"{movie} cannot be read", remedy="check the file's permissions")
    try:
        str(movie).encode("utf-8")
    except UnicodeEncodeError:
        raise BadInputError(f"the name of {os.fsencode(movie)!r} is not valid UTF-8", remedy="rename the file") from None
    return movie


def folder_name(movie: Path) -> str:
    """A readable name for the movie's folder: letters, digits and marks of any script, the rest as single underscores."""
    text = unicodedata.normalize("NFC", movie.stem if movie.suffix.lower() in MOVIE_SUFFIXES else movie.name)
    kept = "".join(c if unicodedata.category(c)[0] in "LNM" or c in "-." else " " for c in text)
    name = re.sub(r"\.{2,}", ".", "_".join(kept.split())).strip("._-")
    while len(name.encode()) > _NAME_BYTES:
        name = name[:-1]
    return name.rstrip("._-") or "movie"


# -- the movie directory ------------------------------------------------------------------------------------------------


def open_movie(movie: Path, out: Path, pid: int) -> tuple[Path, str]:
    """The directory of `movie` below `out`, held for the process `pid`, and the lease's token.

    Another movie of the same name has its own folder, told apart by the movie's identity. Raises BusyError when a run holds it.
    """
    identity = movie_identity(movie)
    for candidate in _candidates(movie, identity, out):
        if _known_identity(candidate) not in (None, identity):
            continue
        try:
            token = lease.acquire(candidate, pid)
        except BusyError:
            # A run that has just begun with another movie of this name has not said so yet.
            if _settled_identity(candidate) in (None, identity):
                raise
            continue
        # Looked at again now that it is ours: another run may have begun another movie here a moment ago.
        if _known_identity(candidate) in (None, identity):
            return candidate, token
        lease.release(candidate, token)
    raise BusyError(f"both folders for {movie.name} belong to other movies", remedy="choose another folder with --out")


def _settled_identity(movie_dir: Path) -> str | None:
    """The identity, waited for where somebody is just writing it."""
    deadline = time.monotonic() + _SETTLE_S
    while _known_identity(movie_dir) is None and lease.holder(movie_dir) and time.monotonic() < deadline:
        time.sleep(0.05)
    return _known_identity(movie_dir)


def _candidates(movie: Path, identity: str, out: Path) -> tuple[Path, Path]:
    name = folder_name(movie)
    return out / name, out / f"{name}-{identity[:8]}"


def _known_identity(movie_dir: Path) -> str | None:
    refuse_strangers(movie_dir)
    job = movie_dir / "job.env"
    return settings.read_env_file(job).get("MOVIE_ID") if job.exists() else None


def locate(movie: Path, out: Path) -> Path:
    """The directory that open_movie() would take, without taking or making it."""
    identity = movie_identity(movie)
    free = (c for c in _candidates(movie, identity, out) if _known_identity(c) in (None, identity))
    return next(free, out / folder_name(movie))


def existing(path: Path, out: Path) -> Path:
    """The movie directory meant by `path`: itself, or that of a movie below `out`. Raises BadInputError when there is none."""
    candidate = locate(path, out) if path.is_file() else path
    if not (candidate / "job.env").exists():
        raise BadInputError(f"{path} has no movie directory yet", remedy="start with: native/pipeline.sh MOVIE")
    refuse_strangers(candidate)
    return candidate.resolve()


def movie_of(movie_dir: Path) -> Path:
    """The movie that `movie_dir` belongs to, from its job.env. Raises BadInputError."""
    name = settings.read_env_file(movie_dir / "job.env").get("MOVIE")
    if not name:
        raise BadInputError(f"{movie_dir / 'job.env'} names no movie", remedy="start again with: native/pipeline.sh MOVIE")
    return _checked(Path(name))


# -- settings of the job ------------------------------------------------------------------------------------------------


def known_settings() -> dict[str, settings.Setting]:
    """Every setting of every stage and of the pipeline, by its name in settings files."""
    known = {s.env: s for s in settings.settings_of("pipeline", supervise.PipelineOptions)}
    known |= {s.env: s for s in settings.settings_of("pipeline", hub.HubOptions)}
    for stage in load_contracts():
        for setting in settings.settings_of(stage.name, stage.options):
            known.setdefault(setting.env, setting)
    for row in load_table():
        known.setdefault(settings.device_env(row.name), known["DEVICE"])
    return known


def job_settings(said: Iterable[str], env_file: Path | None) -> dict[str, str]:
    """What this job keeps: the settings file's values and, stronger, the command line's KEY=VALUE.

    Secrets of the file are left out (they are handed to the stages, never stored). Raises UsageError, also where others may read them.
    """
    known = known_settings()
    kept: dict[str, str] = {}
    if env_file:
        file = settings.EnvFile(env_file)
        for key, value in file.items():
            if key not in known:
                logger.get().warning("%s: %s is no setting of reelscribe%s", env_file, key, _suggestion(key, known))
            elif known[key].secret:
                file.secret(key)
            else:
                kept[key] = settings.anchored(known[key], value, file.folder)
    for pair in said:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UsageError(f"--set {key!r}", remedy="write --set KEY=VALUE")
        if key not in known:
            raise UsageError(f"{key} is no setting of reelscribe{_suggestion(key, known)}", remedy="native/config/.env.pipeline lists all")
        if known[key].secret:
            raise UsageError(
                f"{key} is a secret and would be kept in clear", remedy=f"set {key} in the environment or in an --env file (chmod 600)"
            )
        kept[key] = settings.anchored(known[key], value, Path.cwd())
    return kept


def _suggestion(key: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(key.upper(), known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def write_job(movie_dir: Path, movie: Path, kept: Mapping[str, str]) -> None:
    """Store the job, but for what is personal. The same command line leaves the same bytes."""
    apart = personal(kept)
    lines = {"MOVIE": str(movie), "MOVIE_ID": movie_identity(movie), **{k: v for k, v in kept.items() if k not in apart}}
    with atomic_write(movie_dir / "job.env") as f:
        f.write("# This job: the movie and what its command line and --env file said. native/config/.env.pipeline lists all settings.\n")
        f.writelines(f"{key}={_quoted(value)}\n" for key, value in lines.items())


def personal(kept: Mapping[str, str]) -> dict[str, str]:
    """Of `kept` what no movie directory may hold. The stages of a run find it in their environment."""
    known = known_settings()
    return {key: value for key, value in kept.items() if key in known and known[key].personal}


def kept_settings(movie_dir: Path) -> dict[str, str]:
    """What the job has kept so far, without the movie. Raises UsageError for a secret that somebody wrote there."""
    job, known = movie_dir / "job.env", known_settings()
    said = settings.JobFile(job)
    kept = {k: v for k, v in said.items() if k not in ("MOVIE", "MOVIE_ID") and (k not in known or said.may_say(known[k]))}
    for key, setting in known.items():
        if setting.secret and kept.get(key):
            logger.keep_secret(kept[key])
            where = "movie directories are copied and passed on"
            raise UsageError(
                f"{job} holds {key}, and {where}", remedy=f"take that line out; {key} belongs into the environment or an --env file"
            )
    return kept


def _quoted(value: str) -> str:
    """As python-dotenv reads it back: within single quotes only \\ and ' are special."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def options_of(
    stage: Stage[Any, Any, Any], movie_dir: Path, kept: Mapping[str, str] | None = None, environment: Mapping[str, str] | None = None
) -> tuple[Any, dict[str, str]]:
    """The options of `stage` in this job, as the stage itself will resolve them, and where each came from.

    kept: used instead of the directory's job.env, for a job that is not stored. environment: that of the stage, where it is not ours.
    """
    found = settings.layers({}, None, movie_dir, environment) if kept is None else settings.layers(kept, None, None)
    return settings.resolve(stage.name, stage.options, found)


def model_needs(
    stages: Iterable[Stage[Any, Any, Any]], kept: Mapping[str, str], env_file: Path | None
) -> tuple[list[ModelNeed], hub.HubOptions]:
    """The models that `stages` would use in this job, and where they come from. `env_file` for its secrets, which `kept` has not.

    Raises UsageError when options do not fit together.
    """
    found = settings.layers(kept, env_file, None)
    needs = [need for stage in stages for need in stage.models(settings.resolve(stage.name, stage.options, found)[0])]
    return needs, settings.resolve("pipeline", hub.HubOptions, found)[0]


def environments(
    stages: Iterable[Stage[Any, Any, Any]], movie_dir: Path, kept: Mapping[str, str] | None = None
) -> list[tuple[Stage[Any, Any, Any], str, str]]:
    """Each stage with the environment it runs in in this job and that of its helper. Raises UsageError when options do not fit together."""
    found = [(stage, options_of(stage, movie_dir, kept)[0]) for stage in stages]
    return [(stage, stage.environment(options), stage.helper(options)) for stage, options in found]
