"""The page as one HTML file: style and scripts inside, the data as JSON that no script of the movie's can get out of."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

STYLES = ("base.css", "watch.css", "sections.css")
SCRIPTS = ("dom.js", "movie.js", "timeline.js", "cues.js", "sections.js", "keys.js", "main.js")
# "<" could end the element that the data is in; the line separators end a line in old readers of JSON.
_UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def page(data: dict[str, Any], *, styles: Sequence[str] = STYLES, scripts: Sequence[str] = SCRIPTS, connect: str = "'none'") -> str:
    """The HTML of `data`, as data.collect() makes it. `connect`: where its scripts may connect to; only a review has any such place."""
    parts = {
        "policy": policy_of(styles, scripts, connect),
        "title": escape(f"{data['movie']['title']} · reelscribe"),
        "style": _joined(styles),
        "script": _joined(scripts),
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_UNSAFE),
    }
    # At once, so that no part is looked at for the names of others.
    return re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], _read("report.html"))


def policy_of(styles: Sequence[str], scripts: Sequence[str], connect: str = "'none'") -> str:
    """The Content-Security-Policy: only this style and these scripts, media from where the page is, no connection anywhere else."""
    allowed = {
        "default-src": "'none'",
        "style-src": _digest(_joined(styles)),
        "script-src": _digest(_joined(scripts)),
        "connect-src": connect,
        "media-src": "'self' file: blob:",  # of a page that is a file, 'self' is nothing
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{kind} {source}" for kind, source in allowed.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _joined(names: Sequence[str]) -> str:
    return "\n" + "\n".join(_read(name) for name in names)


def _read(name: str) -> str:
    return (files("reelscribe.report") / "page" / name).read_text(encoding="utf-8")
