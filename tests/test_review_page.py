"""A review in the machine's own Chromium, by the command that people use, with the stages that really follow."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pysubs2
import pytest
from playwright.sync_api import Browser, Page, expect
from report_movie import LINES, Line
from test_report import HOSTILE
from test_report_page import WEBM
from test_review import make_dir

from reelscribe import edits, lease
from reelscribe.artifacts import movie_identity
from reelscribe.stage_table import NATIVE

pytestmark = pytest.mark.browser

SAID = (*LINES[:2], LINES[2], Line(f"I will meet {HOSTILE.split()[0]} at midnight.", 9.0, 11.0, "SPEAKER_01"))


class Review:
    """`pipeline.sh --review`, and its page."""

    def __init__(self, movie_dir: Path, environment: dict[str, str]) -> None:
        self.dir = movie_dir
        self.process = subprocess.Popen(
            [str(NATIVE / "pipeline.sh"), "--review", str(movie_dir)],
            cwd=movie_dir.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str]:
        """Ctrl-C; the exit code, and what was said."""
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def words(self) -> str:
        """What the subtitle file says, without its times and lines."""
        cues = pysubs2.load(str(self.dir / "subtitles/A_Movie.en.srt"), keep_unknown_html_tags=True)
        return " ".join(cue.plaintext.replace("\u2060", "").replace("\n", " ") for cue in cues)


@pytest.fixture(scope="module")
def subtitled(tmp_path_factory: pytest.TempPathFactory, make_movie: Callable[..., Path], child_environment: dict[str, str]) -> Path:
    """A movie directory by the real stages, but for what is heard in it."""
    folder = tmp_path_factory.mktemp("subtitled")
    film = make_movie(folder / "A Movie.webm", seconds=12, options=WEBM)
    movie_dir = make_dir(folder / "out" / "A_Movie", film, *SAID)
    (movie_dir / "job.env").write_text(f"MOVIE='{film}'\nMOVIE_ID='{movie_identity(film)}'\n")
    for stages in ("--only=demux", "--from=post-ner"):
        command = [str(NATIVE / "pipeline.sh"), f"--resume={movie_dir}", stages]
        done = subprocess.run(command, env=child_environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return movie_dir


@pytest.fixture
def reviewed(subtitled: Path, tmp_path: Path, child_environment: dict[str, str]) -> Iterator[Review]:
    """A movie of its own, being reviewed."""
    shutil.copytree(subtitled.parent.parent, tmp_path / "films")
    movie_dir = tmp_path / "films" / "out" / "A_Movie"
    job = movie_dir / "job.env"
    job.write_text(job.read_text().replace(str(subtitled.parent.parent), str(tmp_path / "films")))
    review = Review(movie_dir, child_environment)
    yield review
    if review.process.poll() is None:
        review.end()


@pytest.fixture
def page(chromium: Browser, reviewed: Review) -> Iterator[Page]:
    """The page; a request elsewhere, an error or a dialog is the test's failure."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    page, faults = context.new_page(), []
    origin = "/".join(reviewed.url.split("/")[:3])
    # The browser's own words for an edit that was refused, and for a review that has ended.
    expected = ("409", "422", "ERR_CONNECTION_REFUSED")
    page.on("console", lambda m: None if any(one in m.text for one in expected) else faults.append(f"{m.type}: {m.text}"))
    page.on("pageerror", lambda e: faults.append(str(e)))
    page.on("dialog", lambda d: faults.append(f"dialog: {d.message}"))
    page.on("request", lambda r: None if r.url.startswith((f"{origin}/", "data:")) else faults.append(r.url))
    page.goto(reviewed.url)
    yield page
    context.close()
    assert faults == []


def row(page: Page, text: str) -> Any:
    return page.locator(".row", has_text=text)


def saved(page: Page) -> None:
    expect(page.locator("#review-state")).to_have_text(re.compile("Saved · (subtitles are up to date|writing)"), timeout=60_000)


def test_a_cue_is_edited_and_the_subtitles_follow(page: Page, reviewed: Review) -> None:
    video = page.locator("#video")
    for _ in range(100):
        if video.evaluate("v => v.readyState") >= 2:
            break
        page.wait_for_timeout(100)
    assert video.evaluate("v => [v.videoWidth, v.duration > 11, v.currentSrc.endsWith('/media/0.webm')]") == [320, True, True]

    row(page, "Nobody saw").locator(".line").click()
    field = page.get_by_label("Text of the cue")
    expect(field).to_be_focused()
    assert video.evaluate("v => v.currentTime") == pytest.approx(7.0, abs=0.1)  # it is heard, too
    field.fill('Nobody <img src=x onerror="alert(1)"> saw him & lived.')
    field.press("Enter")
    expect(field).to_have_count(0)
    saved(page)
    assert 'Nobody <img src=x onerror="alert(1)"> saw him & lived.' in reviewed.words()
    expect(row(page, "saw him & lived.")).to_have_count(1)
    # The row shows what was typed at once, the captions what the stages made of it.
    for _ in range(100):
        captions = video.evaluate("v => [...v.textTracks[0].cues].map(c => c.text)")
        if any("him &amp; lived." in text for text in captions):
            break
        page.wait_for_timeout(100)
    assert any("him &amp; lived." in text for text in captions)
    assert len(captions) == page.locator(".row").count()
    assert "saw him &amp; lived" not in (reviewed.dir / "report.html").read_text()  # as JSON, written anew by the run
    assert "him \\u0026 lived" in (reviewed.dir / "report.html").read_text()

    # The same by keys alone, from the row that has the focus; and back again.
    row(page, "the last").focus()
    page.keyboard.press("Enter")
    expect(field).to_be_focused()
    field.fill("thrown away")
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    expect(row(page, "the last")).to_be_focused()
    assert len(edits.read(reviewed.dir).edits) == 1

    page.get_by_role("button", name="Take back").click()
    expect(row(page, "Nobody saw the inspector.")).to_have_count(1, timeout=60_000)
    saved(page)
    assert "Nobody saw the inspector." in reviewed.words()

    # The subtitled movie follows when nobody has written for a while.
    expect(page.locator("#review-state")).to_have_text("Saved · subtitles are up to date", timeout=60_000)


def test_names_the_glossary_and_a_busy_movie(page: Page, reviewed: Review) -> None:
    page.keyboard.press("c")  # captions that are switched off are made anew, too, and not once more
    name = page.get_by_label("Name of Sarah")
    name.fill("Aditi <b>")
    name.press("Enter")
    saved(page)
    expect(page.locator(".row .who", has_text="Aditi <b>").first).to_be_visible()
    assert "Aditi <b>" in (reviewed.dir / "corrected/speakers.json").read_text()

    line = page.get_by_label("A name, heard => right")
    line.fill("station # no")
    line.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("comments")
    line.fill("inspector => Chief Inspector")
    line.press("Enter")
    expect(page.locator(".change", has_text="inspector => Chief Inspector")).to_have_count(1)
    expect(row(page, "Nobody saw").locator("ins")).to_have_text("Chief Inspector.", timeout=60_000)
    assert "Chief Inspector" in reviewed.words()
    assert (reviewed.dir.parent.parent / "glossary.txt").read_text() == "inspector => Chief Inspector  # reviewed\n"
    # The mended name stays mended in a cue that is edited around it.
    row(page, "Chief Inspector").locator(".line").first.click()
    field = page.get_by_label("Text of the cue")
    token = lease.acquire(reviewed.dir)
    try:
        field.fill("Nobody at all saw the Chief Inspector.")
        field.press("Enter")
        expect(page.locator("#review-state")).to_contain_text("Your changes are kept", timeout=60_000)
        assert "at all" not in reviewed.words()
    finally:
        lease.release(reviewed.dir, token)
    expect(row(page, "Nobody at all saw").locator(".written")).to_have_count(0, timeout=60_000)
    saved(page)
    assert "Nobody at all saw" in reviewed.words()
    expect(row(page, "at all saw the").locator("ins")).to_have_text("Chief Inspector.")
    page.locator("h1").click()
    page.keyboard.press("c")
    captions = page.locator("#video").evaluate("v => [...v.textTracks[0].cues].map(c => c.text)")
    assert len(captions) == page.locator(".row").count()

    code, said = reviewed.end()
    assert code == 0
    assert "Traceback" not in said
    assert reviewed.url.split("/")[3] not in said
    expect(page.locator("#review-state")).to_have_text("The review has ended; what was saved is kept.", timeout=20_000)


def test_nothing_of_the_address_is_written_down(page: Page, reviewed: Review) -> None:
    token = reviewed.url.split("/")[3].encode()
    assert reviewed.url.startswith("http://127.0.0.1:")
    found = [path for path in reviewed.dir.rglob("*") if path.is_file() and token in path.read_bytes()]
    assert found == []


def test_the_movie_is_written_anew_at_last(page: Page, reviewed: Review) -> None:
    row(page, "Nobody saw").locator(".line").click()
    page.get_by_label("Text of the cue").fill("Somebody saw.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#review-state")).to_have_text("Saved · writing the subtitled movie…", timeout=60_000)
    expect(page.locator("#review-state")).to_have_text("Saved · subtitles are up to date", timeout=60_000)
    with av.open(str(reviewed.dir / "A_Movie.subtitled.webm")) as movie:
        texts = [bytes(packet) for packet in movie.demux(movie.streams.subtitles[0])]
    assert any(b"Somebody saw." in text for text in texts)
