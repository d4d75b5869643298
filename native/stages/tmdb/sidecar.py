"""The files beside the movie: Kodi's and Jellyfin's .nfo (https://kodi.wiki/view/NFO_files/Movies) and our movie.json.

They come from strangers: bounded in size, no entities or document types, and whatever is wrong with one is said in a line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reelscribe.schemas import Metadata
from tmdb.fields import Source, parsed, year_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MAX_BYTES = 2 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_TMDB_PAGE = re.compile(r"themoviedb\.org/movie/([1-9][0-9]{0,8})")
_JOBS = frozenset({"Director", "Writer", "Producer", "Composer", "Creator"})
_IMDB_ID = r"tt[0-9]{7,9}"
_IMDB_PAGE = re.compile(rf"imdb\.com/title/({_IMDB_ID})")
# What goes into addresses at TMDB, or is counted with.
_POSSIBLE: dict[str, Callable[[Any], bool]] = {
    "year": lambda year: year_of(str(year)) == year,
    "runtime_min": lambda minutes: 0 < minutes < 10_000,
    "tmdb_id": lambda number: 0 < number < 10**9,
    "imdb_id": lambda text: bool(re.fullmatch(_IMDB_ID, text)),
}


class SidecarError(Exception):
    """A file beside the movie cannot be used; the text says which and why."""


def candidates(movie: Path) -> list[Path]:
    """The files that may be there, those for this very movie first."""
    folder = movie.parent
    return [folder / name for name in (f"{movie.stem}.nfo", "movie.nfo", f"{movie.stem}.json", "movie.json")]


def find(movie: Path) -> list[Path]:
    """At most one .nfo and one .json."""
    there = [path for path in candidates(movie) if path.is_file()]
    return [next(p for p in there if p.suffix == suffix) for suffix in sorted({p.suffix for p in there}, reverse=True)]


def read(path: Path) -> Source:
    """What the file knows. Raises SidecarError."""
    try:
        with open(path, "rb") as f:
            content = f.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SidecarError(f"{path.name} cannot be read ({error.strerror})") from error
    if len(content) > _MAX_BYTES:
        raise SidecarError(f"{path.name} is not used: it is larger than {_MAX_BYTES >> 20} MiB")
    return Source(path.name, _json(path.name, content) if path.suffix == ".json" else _nfo(path.name, content))


# -- movie.json -----------------------------------------------------------------------------------------------------------


def _json(name: str, content: bytes) -> dict[str, Any]:
    """The fields of Metadata, each of them optional."""
    from pydantic import ValidationError

    try:
        found = parsed(content)
        if not isinstance(found, dict):
            raise SidecarError(f"{name} is not used: it holds no JSON object")
        fields = Metadata.model_validate({"title": "", **found}).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise SidecarError(f"{name} is not used: {where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise SidecarError(f"{name} is not used: it is not JSON ({error})") from error
    for field, possible in _POSSIBLE.items():
        if (value := fields.get(field)) is not None and not possible(value):
            raise SidecarError(f"{name} is not used: {field}: {str(value)[:40]!r} cannot be")
    for written_by_us in ("sources", "candidates"):
        fields.pop(written_by_us, None)
    return fields


# -- .nfo -----------------------------------------------------------------------------------------------------------------


def _nfo(name: str, content: bytes) -> dict[str, Any]:
    """Three kinds: XML, XML followed by the address of the movie's page, and the address alone (often within a text for people)."""
    xml, end, rest = content.partition(b"</movie>")
    pages = _pages((rest if end else content).decode("utf-8", errors="replace"))
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", *_UTF16)):
        if not pages:
            raise SidecarError(f"{name} is not used: it is neither Kodi's XML nor names the movie's page")
        return pages
    root = _parse(name, xml + end if end else content)
    if root.tag != "movie":
        raise SidecarError(f"{name} is not used: it describes <{root.tag[:40]}>, not a <movie>")
    fields = _movie(root)
    return {**pages, **{key: value for key, value in fields.items() if value}}


def _pages(text: str) -> dict[str, Any]:
    """Ids from addresses of the movie's page."""
    tmdb, imdb = _TMDB_PAGE.search(text), _IMDB_PAGE.search(text)
    return ({"tmdb_id": int(tmdb[1])} if tmdb else {}) | ({"imdb_id": imdb[1]} if imdb else {})


def _parse(name: str, content: bytes) -> Element:
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Element = fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise SidecarError(f"{name} is refused: it declares a document type or entities, which a movie's .nfo never needs") from error
    except (ParseError, ValueError, LookupError) as error:
        raise SidecarError(f"{name} is not used: it is not well-formed XML ({error})") from error
    return root


def _movie(root: Element) -> dict[str, Any]:
    ids = {str(e.get("type", "")).lower(): _text(e) for e in root.iter("uniqueid")}
    tmdb_id = ids.get("tmdb") or _first(root, "tmdbid")
    imdb_id = next((i for i in (ids.get("imdb"), _first(root, "imdbid"), _first(root, "id")) if i and re.fullmatch(_IMDB_ID, i)), None)
    title = _first(root, "title") or _first(root, "localtitle") or _first(root, "name")
    others = [t for tag in ("title", "localtitle", "name") for t in _all(root, tag)]
    return {
        "title": title,
        "original_title": _first(root, "originaltitle"),
        "alternative_titles": [t for t in dict.fromkeys(others) if t != title],
        "year": year_of(_first(root, "year")) or year_of(_first(root, "premiered")) or year_of(_first(root, "releasedate")),
        "runtime_min": _runtime_min(root),
        "overview": _plot(root),
        "tmdb_id": int(tmdb_id) if re.fullmatch(r"[1-9][0-9]{0,8}", tmdb_id) else None,
        "imdb_id": imdb_id,
        "collection": _first(root, "set/name") or _first(root, "set"),
        "genres": _all(root, "genre"),
        "keywords": list(dict.fromkeys(_all(root, "tag") + _all(root, "style"))),
        "cast": list(_cast(root)),
        "crew": _crew(root),
    }


def _runtime_min(root: Element) -> float | None:
    """As the movie's page has it, else as the file's length was measured."""
    minutes = re.match(r"\d{1,4}", _first(root, "runtime"))
    seconds = re.match(r"\d{1,6}", _first(root, "fileinfo/streamdetails/video/durationinseconds"))
    return float(minutes[0]) if minutes else round(int(seconds[0]) / 60, 1) if seconds else None


def _plot(root: Element) -> str:
    """What happens; an outline that tells something else comes behind the plot."""
    plot = _first(root, "plot") or _first(root, "review")
    outline = _first(root, "outline")
    return plot if outline in plot else f"{plot} {outline}".strip()


def _crew(root: Element) -> list[dict[str, str]]:
    """Kodi names them by their work, Jellyfin among the actors too."""
    found = [(name, "Director") for name in _all(root, "director")]
    found += [(name, "Writer") for name in _all(root, "credits") + _all(root, "writer")]
    found += [(_first(a, "name"), kind) for a in root.iterfind("actor") if (kind := _first(a, "type")) in _JOBS and _first(a, "name")]
    return [{"name": name, "job": job} for name, job in dict.fromkeys(found)]


def _cast(root: Element) -> Iterator[dict[str, Any]]:
    """Actors by <order> (Jellyfin: <sortorder>) where it is given; Jellyfin keeps others as <actor> with a <type>, too."""
    actors = [a for a in root.iterfind("actor") if _first(a, "name") and (_first(a, "type") or "Actor") in ("Actor", "GuestStar")]
    orders = [_first(a, "order") or _first(a, "sortorder") for a in actors]
    ranked = sorted(range(len(actors)), key=lambda i: int(orders[i]) if re.fullmatch(r"\d{1,6}", orders[i]) else i)
    for order, i in enumerate(ranked):
        yield {"name": _first(actors[i], "name"), "character": _first(actors[i], "role"), "order": order}


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _first(root: Element, path: str) -> str:
    return _text(root.find(path))


def _all(root: Element, tag: str) -> list[str]:
    return [text for element in root.iterfind(tag) if (text := _text(element))]
