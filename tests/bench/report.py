"""What report.html costs: writing it, opening it, filtering, scrolling through it and redrawing its timeline.

    native/venvs/dev/bin/python tests/bench/report.py [CUES…]

Synthetic cues of two speakers, four seconds each, with a doubtful word in every fifth. `ready`: from the address to a page that can be
used. `frame`: the median and the longest time between two pictures while the list is scrolled by 4,000 pixels (some 70 cues) a second.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import browser as machine
import report_movie
from playwright.sync_api import Browser
from report_movie import Line, Movie

from reelscribe import report

TEXTS = ("Where were you tonight, Stephen?", "Kathryn followed\nthe train to Jaipur.", "Is she waiting at the hospital?")
FILTER = """() => {
  const field = document.getElementById("search"), began = performance.now();
  field.value = "train"; field.dispatchEvent(new Event("input")); document.body.offsetHeight;
  const took = performance.now() - began;
  field.value = ""; field.dispatchEvent(new Event("input"));
  return took;
}"""
DRAW = "() => { const began = performance.now(); document.getElementById('zoom-all').click(); return performance.now() - began; }"
SCROLL = """() => new Promise((done) => {
  const list = document.getElementById("list"), frames = [], began = performance.now();
  let before = began;
  const step = (now) => {
    frames.push(now - before); before = now;
    list.scrollTop = (now - began) * 4;
    if (now - began < 2000) requestAnimationFrame(step); else done(frames.slice(1));
  };
  requestAnimationFrame(step);
})"""


def movie(num_cues: int) -> Movie:
    """A movie of that many cues."""
    lines = [
        Line(f"{TEXTS[n % 3]} {n}", 4.0 * n, 4.0 * n + 3, f"SPEAKER_{n % 2:02}", (0.3,) if n % 5 == 0 else ()) for n in range(num_cues)
    ]
    return Movie(lines=lines, duration=4.0 * num_cues)


def measure(browser: Browser, num_cues: int) -> str:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = report_movie.write(Path(name), movie(num_cues))
        began = time.process_time()
        path = report.write(folder)
        wrote_s = time.process_time() - began
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(path.as_uri())
        ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        filtered, drawn = (statistics.median(page.evaluate(script) for _ in range(5)) for script in (FILTER, DRAW))
        frames = page.evaluate(SCROLL)
        size = path.stat().st_size / 2**20
        page.close()
    frame = f"{statistics.median(frames):.0f} ({max(frames):.0f})"
    return f"| {num_cues} | {size:.1f} | {wrote_s:.1f} | {ready:.0f} | {filtered:.0f} | {drawn:.0f} | {frame} |"


def main() -> None:
    """The table."""
    counts = [int(text) for text in sys.argv[1:]] or [100, 1000, 3000, 10000]
    print("| cues | MB | written (CPU s) | ready (ms) | filtered (ms) | timeline (ms) | frame (ms) |\n|--:|--:|--:|--:|--:|--:|--:|")
    with machine.opened() as browser:
        for num_cues in counts:
            print(measure(browser, num_cues), flush=True)


if __name__ == "__main__":
    main()
