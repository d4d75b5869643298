"""report.html in the machine's own Chromium, from a file and without a network, as people open it."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import report_movie
from playwright.sync_api import Browser, Page, expect
from report_movie import LINES, Line, Movie
from test_report import HOSTILE, hostile

from reelscribe import report

pytestmark = pytest.mark.browser

# What every browser plays, those without licensed codecs too.
WEBM = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libvorbis", "-s", "320x180")
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory, make_movie: Callable[..., Path]) -> Path:
    """Twelve seconds that Chromium plays."""
    return make_movie(tmp_path_factory.mktemp("film") / "A Movie.webm", seconds=12, options=WEBM)


@dataclass
class Opened:
    """A page and what it did that it should not have."""

    page: Page
    faults: list[str] = field(default_factory=list)

    @property
    def time(self) -> float:
        return float(self.js("video.currentTime"))

    def js(self, expression: str) -> Any:
        return self.page.evaluate(f"(() => {{ const video = document.getElementById('video'); return {expression}; }})()")

    def until(self, expression: str) -> None:
        """Wait for it. Playwright's own wait_for_function needs eval(), which the page's policy forbids."""
        for _ in range(100):
            if self.js(expression):
                return
            self.page.wait_for_timeout(100)
        pytest.fail(f"never: {expression}")

    def cue(self, text: str) -> Any:
        return self.page.locator(".row", has_text=text)

    def shown(self) -> list[str]:
        """The first line of every row that is not filtered away."""
        return list(self.page.eval_on_selector_all(".row:not([hidden])", "rows => rows.map(r => r.querySelector('.line').textContent)"))


@pytest.fixture
def show(chromium: Browser, movie_dir: Path, film: Path) -> Iterator[Callable[..., Opened]]:
    """Writes a movie directory and opens its report; a request elsewhere, an error or a dialog is the test's failure."""
    opened: list[Opened] = []
    with ExitStack() as stack:

        def start(movie: Movie | None = None, *, ready: bool = True, **context: Any) -> Opened:
            movie = movie or Movie(source=film)
            report_movie.write(movie_dir, movie)
            ours = ("data:", *(folder.as_uri() for folder in (movie_dir, movie.source.parent if movie.source else movie_dir)))
            page = stack.enter_context(chromium.new_context(**context)).new_page()
            one = Opened(page)
            opened.append(one)
            page.on("console", lambda m: one.faults.append(f"{m.type}: {m.text}"))
            page.on("pageerror", lambda e: one.faults.append(str(e)))
            page.on("dialog", lambda d: one.faults.append(f"dialog: {d.message}") or d.dismiss())
            page.on("request", lambda r: None if r.url.startswith(ours) else one.faults.append(r.url))
            page.goto(report.write(movie_dir).as_uri())
            if ready:
                one.until("video.readyState >= 2")
            return one

        yield start
        assert [fault for one in opened for fault in one.faults] == []


# -- the movie and its captions -----------------------------------------------------------------------------------------


def test_a_click_on_a_cue_goes_there(show: Callable[..., Opened]) -> None:
    opened = show()
    opened.cue("the last train").click()
    opened.until("!video.seeking")
    assert opened.time == pytest.approx(4.0, abs=0.05)
    expect(opened.cue("the last train")).to_have_attribute("aria-selected", "true")
    expect(opened.page.locator("#clock")).to_contain_text("0:04.0")


def picture(opened: Opened) -> np.ndarray:
    """(height, width, 3) uint8: what the video shows now, without its controls."""
    opened.js("(video.controls = false)")
    shot = opened.page.locator("#video").screenshot()
    with av.open(io.BytesIO(shot)) as png:
        return next(png.decode(video=0)).to_ndarray(format="rgb24")


def test_the_caption_is_on_the_video_at_its_time(show: Callable[..., Opened]) -> None:
    opened = show()
    opened.cue("the last train").click()
    opened.until("video.textTracks[0].activeCues?.length === 1")
    assert opened.js("video.textTracks[0].activeCues[0].text") == "Kathryn followed\nthe last train."
    assert opened.js("video.textTracks[0].mode") == "showing"
    with_caption = picture(opened)
    opened.page.keyboard.press("c")
    assert opened.js("video.textTracks[0].mode") == "disabled"
    opened.page.wait_for_timeout(300)
    changed = np.abs(with_caption.astype(int) - picture(opened)).max(axis=2) > 50
    rows = np.flatnonzero(changed.any(axis=1))
    assert changed.mean() > 0.01, "the caption covers part of the picture"
    assert rows.min() > 0.5 * changed.shape[0], "at its foot"


def test_captions_and_list_go_along_while_it_plays(show: Callable[..., Opened]) -> None:
    opened = show()
    opened.js("(video.muted = true, video.currentTime = 3.6)")
    opened.page.keyboard.press(" ")
    expect(opened.cue("the last train")).to_have_attribute("aria-selected", "true", timeout=10_000)
    assert opened.js("video.paused") is False
    opened.page.keyboard.press("k")
    assert opened.js("video.paused") is True


def test_a_movie_that_cannot_be_played_leaves_its_sound(
    show: Callable[..., Opened], movie_dir: Path, tmp_path: Path, make_wav: Callable[..., Path]
) -> None:
    make_wav(movie_dir / "audio" / "audio.wav", seconds=12)
    unknown = tmp_path / "film" / "strange.mkv"
    unknown.parent.mkdir()
    unknown.write_bytes(b"no movie at all")
    (movie_dir / "A_Movie.subtitled.mkv").write_bytes(b"nor is this")
    opened = show(Movie(source=unknown, result="A_Movie.subtitled.mkv"))
    assert opened.js("video.currentSrc").endswith("/audio/audio.wav")
    expect(opened.page.locator("#sound")).to_contain_text("Its dialogue is played")


@pytest.mark.parametrize(
    ("codecs", "said"),
    [
        (("-c:v", "mpeg4", "-c:a", "libvorbis"), "cannot show its picture"),
        (("-c:v", "libvpx", "-c:a", "ac3"), "cannot play its sound"),
        (("-c:v", "libvpx", "-c:a", "libvorbis"), ""),
    ],
)
def test_half_a_movie_that_is_played_is_told(
    show: Callable[..., Opened], tmp_path: Path, make_movie: Callable[..., Path], codecs: tuple[str, ...], said: str
) -> None:
    film = make_movie(tmp_path / "film" / "half.mkv", seconds=6, options=codecs)
    opened = show(Movie(source=film))
    opened.js(f"(video.muted = {'false' if said else 'true'})")  # a sound that is switched off is one that can be played
    opened.page.keyboard.press("k")
    opened.until("video.currentTime > 2")
    sound = opened.page.locator("#sound")
    opened.page.wait_for_timeout(300)  # until the next word of the player about its time
    expect(sound).to_contain_text(said) if said else expect(sound).to_be_hidden()


def test_without_a_movie_the_rest_works(show: Callable[..., Opened]) -> None:
    opened = show(Movie(), ready=False)
    expect(opened.page.locator("#sound")).to_contain_text("no longer where it was")
    opened.cue("Jai").click()
    expect(opened.page.locator("#clock")).to_contain_text("0:09.0")


# -- the table of cues --------------------------------------------------------------------------------------------------


def test_rows_show_doubt_changes_speed_and_speakers(show: Callable[..., Opened]) -> None:
    opened = show()
    expect(opened.cue("Stephen").locator("mark")).to_have_text("tonight,")
    expect(opened.cue("Stephen").locator("mark")).to_have_attribute("title", "31 % sure")
    expect(opened.cue("train").locator("del")).to_have_text("Catherine")
    expect(opened.cue("train").locator("ins")).to_have_text("Kathryn")
    expect(opened.cue("inspector").locator(".marks")).to_have_text("too fast")
    expect(opened.cue("Stephen").locator(".cps")).to_have_text("16")  # 32 characters in 2 s
    expect(opened.cue("Stephen").locator(".who")).to_have_text("Karl")


def test_chips_speaker_and_search_filter(show: Callable[..., Opened]) -> None:
    opened = show()
    page = opened.page
    page.get_by_role("button", name="Doubtful").click()
    assert opened.shown() == ["Where were you tonight, Stephen?"]
    page.get_by_role("button", name="Corrected").click()
    assert opened.shown() == ["CatherineKathryn followed"]
    page.get_by_role("button", name="Marked").click()
    assert opened.shown() == ["Nobody saw the inspector."]
    page.get_by_role("button", name="All 4").click()
    page.get_by_label("Speaker").select_option("Sarah")
    assert len(opened.shown()) == 2
    page.get_by_role("searchbox").fill("MIDNIGHT")
    assert opened.shown() == ["I will meet Jai at midnight."]
    expect(page.locator("#count")).to_have_text("1 of 4 cues")
    page.get_by_role("searchbox").fill("catherine")
    assert opened.shown() == ["CatherineKathryn followed"], "what was heard is found too"
    page.get_by_role("searchbox").fill("nothing of the kind")
    expect(page.locator("#none")).to_be_visible()


def test_another_track_changes_captions_cues_and_timeline(show: Callable[..., Opened], film: Path) -> None:
    opened = show(Movie(source=film, english="Where have you been?"))
    assert opened.shown() == ["Where have you been?"]
    opened.page.get_by_label("Subtitles").select_option("Hindi")
    assert len(opened.shown()) == 4
    assert opened.js("[...video.textTracks].map(track => track.mode)") == ["disabled", "showing"]
    opened.page.get_by_label("Subtitles").select_option("English")
    assert opened.js("[...video.textTracks].map(track => track.mode)") == ["showing", "disabled"]


def test_everything_is_done_by_keyboard(show: Callable[..., Opened]) -> None:
    opened = show()
    page = opened.page
    page.keyboard.press("/")
    page.keyboard.type("train k")
    assert opened.shown() == []
    page.keyboard.press("Escape")
    assert len(opened.shown()) == 4
    assert page.evaluate("document.activeElement.className") == "row"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert opened.time == pytest.approx(7.0, abs=0.05)
    page.keyboard.press("n")
    assert opened.time == pytest.approx(9.0, abs=0.05)
    page.keyboard.press("p")
    assert opened.time == pytest.approx(7.0, abs=0.05)
    page.keyboard.press("l")
    assert opened.time == pytest.approx(12.0, abs=0.05)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("slider").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert opened.time == pytest.approx(1.0, abs=0.05)


def test_tab_passes_the_cues_in_one_step(show: Callable[..., Opened]) -> None:
    opened = show()
    opened.page.get_by_role("button", name="Follow").focus()
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") == "row"
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.className") != "row"


def test_the_timeline_seeks_and_zooms(show: Callable[..., Opened]) -> None:
    opened = show()
    box = opened.page.locator("#lane-area").bounding_box()
    assert box
    opened.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
    assert opened.time == pytest.approx(6.0, abs=0.1)
    expect(opened.page.locator("#hint")).to_contain_text("0:0")
    opened.page.get_by_role("button", name="Show less").click()
    opened.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 40)
    assert opened.time == pytest.approx(9.0, abs=0.1), "half the movie is seen, around where it was"


# -- everything else on the page ----------------------------------------------------------------------------------------


def test_names_corrections_and_stages_are_there(show: Callable[..., Opened], film: Path) -> None:
    opened = show(Movie(source=film, draft=True, degraded=["a smaller batch"]))
    page = opened.page
    assert page.locator(".banner").all_text_contents()[0].startswith("Draft")
    expect(page.locator(".banner").nth(1)).to_contain_text("1 of 1 chunks were decoded with less (a smaller batch)")
    page.get_by_role("button", name="Go to 0:04.0").click()
    assert opened.time == pytest.approx(4.0, abs=0.05)
    page.get_by_role("button", name="Kathryn ×1").click()
    assert opened.shown() == ["CatherineKathryn followed"]
    asr = page.locator("tr", has_text="asr")
    expect(asr).to_contain_text("cpu float32")
    expect(asr).to_contain_text("2.5 s")
    expect(asr).to_contain_text("1.5 GB")
    expect(page.locator("tr", has_text="tmdb").locator(".fallback")).to_have_text("this machine has no GPU")


def test_broken_limits_are_found_and_filtered(show: Callable[..., Opened], film: Path) -> None:
    opened = show(Movie(source=film, faults=[(3, "characters a second", 25.04, 20), (4, "phrase torn", 1, 0)], hidden="la la la"))
    page = opened.page
    expect(opened.cue("inspector").locator(".fault")).to_have_text("characters a second: 25.04, limit 20")
    page.get_by_role("button", name="Limits broken 2").click()
    assert len(opened.shown()) == 2
    page.get_by_role("button", name="phrase torn ×1").click()
    assert opened.shown() == ["I will meet Jai at midnight."]
    expect(page.get_by_role("region", name="Not shown")).to_contain_text("la la la")


def test_a_failed_run_shows_what_there_is(show: Callable[..., Opened], film: Path) -> None:
    opened = show(Movie(source=film, failed="the engine fell over"))
    expect(opened.page.locator(".banner.error")).to_contain_text("The stage asr failed")
    expect(opened.page.get_by_role("row", name="mux not run", exact=True)).to_be_visible()


def test_an_empty_directory_has_a_page(show: Callable[..., Opened], movie_dir: Path, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    faults: list[str] = []
    page.on("console", lambda m: faults.append(m.text))
    page.on("pageerror", lambda e: faults.append(str(e)))
    page.goto(report.write(movie_dir).as_uri())
    expect(page.locator("#none")).to_have_text("There are no cues yet.")
    context.close()
    assert faults == []


def test_hostile_texts_are_shown_and_do_nothing(show: Callable[..., Opened], tmp_path: Path, film: Path) -> None:
    odd = tmp_path / "film" / 'a "b" <img src=x onerror=window.pwned=1> #1 %41?.webm'
    odd.parent.mkdir()
    odd.write_bytes(film.read_bytes())
    opened = show(hostile(source=odd))
    page = opened.page
    assert opened.js("window.pwned") is None
    assert page.locator("script").count() == 2
    assert page.locator("img").count() == 0
    assert page.locator("#title").inner_text().startswith(HOSTILE[:40])
    assert page.title() == f"{HOSTILE} · reelscribe".replace("\u2028", "\u2028")
    page.locator(".row").click()
    opened.until("video.textTracks[0].activeCues?.length === 1")
    assert "<img" in opened.js("video.textTracks[0].activeCues[0].getCueAsHTML().textContent")
    page.mouse.move(*centre(page, "#lane-area"))
    assert opened.js("window.pwned") is None
    assert HOSTILE[:30] in page.locator(".scroll > .terms").inner_text()


def centre(page: Page, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    assert box
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_the_policy_stops_a_script_and_a_request(chromium: Browser, movie_dir: Path) -> None:
    """Were a text ever to become HTML, this would stand behind it."""
    report_movie.write(movie_dir, Movie())
    path = report.write(movie_dir)
    path.write_text(path.read_text().replace("<main>", "<main><script>window.pwned=1</script><img src=http://192.0.2.1/x>"))
    context = chromium.new_context()
    page = context.new_page()
    failed: list[str] = []
    page.on("requestfailed", lambda r: failed.append(f"{r.url} {r.failure}"))
    page.goto(path.as_uri())
    assert page.evaluate("window.pwned") is None
    assert failed == ["http://192.0.2.1/x csp"]
    context.close()


# -- sizes and colours --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [320, 390, 768, 1024, 1440, 2560])
def test_no_width_scrolls_sideways(show: Callable[..., Opened], film: Path, width: int) -> None:
    long = Line("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", 1, 3)
    opened = show(Movie(source=film, lines=[long, *LINES[1:]], title="A" * 90), viewport={"width": width, "height": 800})
    assert opened.js("document.documentElement.scrollWidth") <= width


def test_a_phone_gets_one_column_with_the_movie_on_top(show: Callable[..., Opened]) -> None:
    opened = show(None, **PHONE)
    opened.page.locator("#list").scroll_into_view_if_needed()
    opened.page.evaluate("document.getElementById('list').scrollIntoView()")
    video = opened.page.locator("#video").bounding_box()
    assert video and video["y"] == pytest.approx(0, abs=1), "it stays in sight"
    opened.cue("the last train").tap()
    assert opened.time == pytest.approx(4.0, abs=0.05)


def test_it_follows_the_colours_of_the_system(show: Callable[..., Opened]) -> None:
    light, dark = (show(None, color_scheme=scheme) for scheme in ("light", "dark"))
    ground, ink = (
        [one.js(f"getComputedStyle(document.body).{name}").split("(")[1].split()[0] for one in (light, dark)]
        for name in ("backgroundColor", "color")
    )
    assert float(ground[0]) > 0.9 > 0.3 > float(ground[1])
    assert float(ink[0]) < 0.4 < 0.8 < float(ink[1])


def test_three_thousand_cues(show: Callable[..., Opened], film: Path, measured: Callable[[str], None]) -> None:
    texts = ("Where were you tonight, Stephen?", "Kathryn followed\nthe train to Jaipur.", "Is she waiting at the hospital?")
    lines = [Line(f"{texts[n % 3]} {n}", 4.0 * n, 4.0 * n + 3, f"SPEAKER_{n % 2:02}", (0.3,) if n % 5 == 0 else ()) for n in range(3000)]
    opened = show(Movie(lines=lines, duration=12000.0, source=film))
    page = opened.page
    expect(page.locator("#count")).to_have_text("3,000 cues")
    ready = opened.js("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    filtering = page.evaluate(
        "() => { const field = document.getElementById('search'), began = performance.now(); field.value = 'train';"
        " field.dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - began; }"
    )
    assert len(opened.shown()) == 1000
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    expect(opened.cue("hospital? 2999")).to_be_focused()
    expect(opened.cue("hospital? 2999")).to_be_in_viewport()
    measured(f"report.html with 3,000 cues: ready in {ready:.0f} ms, filtered in {filtering:.0f} ms")
