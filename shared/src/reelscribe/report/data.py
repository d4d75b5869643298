"""Everything the page shows, as one JSON value: page/*.js draws it and knows nothing else."""

from __future__ import annotations

from typing import Any

from reelscribe.report import cues, names, quality, stages, timeline
from reelscribe.report.sources import Sources


def collect(sources: Sources) -> dict[str, Any]:
    """The page's data; what is not known is empty."""
    page = {
        "movie": movie(sources),
        "videos": sources.videos(),
        "doubtful": cues.DOUBTFUL,
        "tracks": cues.tracks(sources),
        "timeline": timeline.collect(sources),
        "quality": quality.summary(sources),
        "speakers": names.speakers(sources),
        "glossary": names.glossary(sources),
        "corrections": names.corrections(sources),
        "stages": stages.collect(sources),
    }
    # The last, for reading the rest may have found problems.
    return {**page, "banners": stages.banners(sources)}


def movie(sources: Sources) -> dict[str, Any]:
    """What the movie is, in the words of the page's head."""
    known, transcript = sources.metadata, sources.transcript
    words = [word for segment in transcript.segments for word in segment.words] if transcript else []
    scored = [word for word in words if word.score is not None]
    return {
        "title": (known.title if known else "") or sources.movie_name(),
        "year": known.year if known else None,
        "file": sources.movie_name(),
        "picture": any(s.kind == "video" and not s.cover for s in sources.media.streams) if sources.media else False,
        "overview": (known.overview if known else None) or "",
        "directors": [member.name for member in known.crew if member.job == "Director"] if known else [],
        "language": transcript.language if transcript else "",
        "engine": " ".join(filter(None, (transcript.engine, transcript.model))) if transcript else "",
        "words": len(words),
        "doubtful": sum(word.score < cues.DOUBTFUL for word in scored if word.score is not None),
    }
