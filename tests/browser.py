"""The machine's own Chromium (or Chrome), driven by Playwright, for tests of report.html."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
APPLICATIONS = ("Chromium.app/Contents/MacOS/Chromium", "Google Chrome.app/Contents/MacOS/Google Chrome")
FOLDERS = (Path("/Applications"), Path.home() / "Applications")
# --no-sandbox: as root, in containers, Chromium does not start with it; the pages are our own. The others: no talk with its maker.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = "no Chromium or Chrome on this machine (Debian: apt install chromium)"


def find() -> str | None:
    """The browser's executable; None when there is none."""
    found = next(filter(None, map(shutil.which, COMMANDS)), None)
    applications = (folder / name for folder in FOLDERS for name in APPLICATIONS)
    return found or next((str(path) for path in applications if path.exists()), None)


@contextmanager
def opened() -> Iterator[Browser]:
    """A headless browser with an empty profile. Raises RuntimeError when there is none."""
    executable = find()
    if executable is None:
        raise RuntimeError(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
