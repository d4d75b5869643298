"""`report.html`: one page that shows a movie directory: the subtitled movie, when who spoke, every cue and how it was made.

python -m reelscribe.report MOVIE_DIR writes it. It is one file that asks the network for nothing; the movie is played from beside it.
What a stage has not made yet is left out. sources.py reads, {cues,quality,timeline,names,stages}.py choose, data.py puts together and
html.py writes; the page itself is page/.
"""

from __future__ import annotations

from pathlib import Path

from reelscribe.artifacts import atomic_write
from reelscribe.report import data, html
from reelscribe.report.sources import Sources

NAME = "report.html"


def write(movie_dir: Path) -> Path:
    """Write the report of `movie_dir` and return its path. Raises BadInputError when there is no such folder."""
    path = movie_dir / NAME
    text = html.page(data.collect(Sources(movie_dir)))
    with atomic_write(path) as f:
        f.write(text)
    return path
