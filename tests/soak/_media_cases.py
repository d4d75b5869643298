"""The bad media of tests/soak/media.py: each with a name, how it is made, and what demux has to say of it."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import _media_bytes as by
from _media_files import GOOD, PICTURE, SECONDS, good, make, station, tagged, tone

REFUSED, ACCEPTED, EITHER = "refused", "accepted", "either"
Maker = Callable[[Path, Path], Path]


@dataclass(frozen=True)
class Case:
    """make(goods, folder): the input, in `folder`; `goods` holds what is made once. want: what demux has to do.

    `seconds`: how long the sound is where it is accepted, None where nobody can know.
    """

    name: str
    make: Maker
    want: str = EITHER
    seconds: float | None = None


def changed(suffix: str, change: by.Change, *, name: str = "") -> Maker:
    """A good movie changed byte by byte."""

    def write(goods: Path, folder: Path) -> Path:
        source = station(goods) if suffix == "station.mp4" else good(goods, suffix)
        path = folder / (name or f"movie.{suffix.rpartition('.')[2]}")
        path.write_bytes(change(source.read_bytes()))
        return path

    return write


def made(name: str, *arguments: str) -> Maker:
    """What ffmpeg makes."""
    return lambda goods, folder: make(folder / name, *arguments)


# -- damaged ------------------------------------------------------------------------------------------------------------


def damaged(seed: int) -> Iterator[Case]:
    """Without end: good movies of every kind cut, flipped and overwritten at random places."""
    number = 0
    while True:
        for suffix in ("station.mp4", *GOOD):
            mark, kind = f"{seed}/{number}", number % 5
            share = (1 + number * 7 % 19) / 20
            changes = {
                "cut": by.cut(share),
                "without its head": by.headless(share / 4),
                "flipped": by.flipped(mark, 1 + number % 50),
                "flipped in the header": by.flipped(mark, 8, within=0.02),
                "zeroed": by.overwritten(mark, share / 3),
            }
            what = list(changes)[kind]
            yield Case(f"{suffix} {what} ({mark})", changed(suffix, changes[what]))
            number += 1


# -- what is no movie ---------------------------------------------------------------------------------------------------


def no_files() -> Iterator[Case]:
    """What a path may lead to."""

    def written(name: str, content: bytes) -> Maker:
        def write(goods: Path, folder: Path) -> Path:
            (folder / name).write_bytes(content)
            return folder / name

        return write

    def special(name: str, act: Callable[[Path], object]) -> Maker:
        def prepare(goods: Path, folder: Path) -> Path:
            act(folder / name)
            return folder / name

        return prepare

    def looped(path: Path) -> None:
        other = path.with_name("other.mkv")
        path.symlink_to(other)
        other.symlink_to(path)

    def unreadable(path: Path) -> None:
        path.write_bytes(b"secret" * 100)
        path.chmod(0)

    yield Case("nothing there", special("nothing.mkv", lambda path: None), REFUSED)
    yield Case("empty", written("empty.mp4", b""), REFUSED)
    yield Case("a folder", special("folder.mkv", os.mkdir), REFUSED)
    yield Case("a FIFO", special("fifo.mkv", os.mkfifo), REFUSED)
    yield Case("a link to a FIFO", special("l.mkv", lambda p: (os.mkfifo(p.with_name("fifo")), p.symlink_to("fifo"))), REFUSED)
    yield Case("a device that never ends", special("zero.mkv", lambda path: path.symlink_to("/dev/zero")), REFUSED)
    yield Case("a file that cannot be read", special("mem.mkv", lambda path: path.symlink_to("/proc/self/mem")), REFUSED)
    yield Case("links in a circle", special("loop.mkv", looped), REFUSED)
    yield Case("a link to nothing", special("dangling.mkv", lambda path: path.symlink_to("gone.mkv")), REFUSED)
    yield Case("no permission", special("locked.mkv", unreadable), REFUSED)
    yield Case("a path too long", lambda goods, folder: folder / "/".join(["n" * 200] * 25), REFUSED)
    yield Case("a name too long", lambda goods, folder: folder / ("n" * 300 + ".mkv"), REFUSED)
    yield Case("text", written("text.mkv", b"Dear movie,\n" * 500), REFUSED)
    yield Case("text with escape codes", written("esc.mkv", b"\x1b]0;owned\x07\x1b[2J\x1b[31mred\n" * 50), REFUSED)
    yield Case("zeros", written("zeros.mp4", bytes(200_000)), REFUSED)
    yield Case("noise", written("noise.mkv", by.flipped("noise", 400_000)(bytes(100_000))), EITHER)
    yield Case("subtitles as a video", written("subtitles.mp4", b"1\n00:00:01,000 --> 00:00:02,000\nHello\n" * 50), REFUSED)
    yield Case("WebVTT as a video", written("subtitles.mkv", b"WEBVTT\n\n00:01.000 --> 00:02.000\nHello\n"), REFUSED)
    yield Case("a program as a video", lambda goods, folder: Path("/bin/sh"), REFUSED)
    yield Case("a picture as a video", made("picture.mkv.png", *PICTURE, "-frames:v", "1", "-f", "image2"), REFUSED)
    yield Case("a JPEG called MP4", made("picture.mp4", *PICTURE, "-frames:v", "1", "-c:v", "mjpeg", "-f", "image2"), REFUSED)
    yield Case("a GIF called MKV", made("picture.mkv", *PICTURE, "-t", "1", "-f", "gif"), REFUSED)
    huge = 3 << 30
    yield Case("zeros of 3 GiB that take no disk", special("hole.mkv", lambda p: (p.touch(), os.truncate(p, huge))), REFUSED)


# -- odd, and mostly good -----------------------------------------------------------------------------------------------


def sounds() -> Iterator[Case]:
    """Sound as few movies have it."""
    yield Case("no sound", made("silent.mp4", *PICTURE, "-t", "1", "-c:v", "libx264"), REFUSED)
    yield Case("a track without a packet", made("none.avi", *PICTURE, *tone(), "-t", "1", "-frames:a", "0", "-c:v", "mpeg4"), REFUSED)
    yield Case("a WAV of 0 s", made("zero.wav", *tone(seconds=3), "-t", "0", "-c:a", "pcm_s16le"), REFUSED)
    yield Case("an MP4 of 0 s", made("zero.mp4", *PICTURE, *tone(), "-t", "0", "-c:v", "libx264", "-c:a", "aac"), REFUSED)
    yield Case("one packet of sound", made("short.mkv", *tone(seconds=0.02), "-c:a", "flac"), ACCEPTED, 0.02)
    maps = ["-map", "0", *["-map", "1"] * 20]
    many = ["-t", str(SECONDS), "-c:v", "libx264", "-c:a", "aac", "-ac", "1"]
    for suffix in ("mkv", "mp4", "ts"):
        yield Case(f"20 audio tracks, {suffix}", made(f"many.{suffix}", *PICTURE, *tone(), *maps, *many), ACCEPTED, SECONDS)
    for rate in (4000, 8000, 11025, 96000, 192000):
        yield Case(f"{rate} Hz", made("rate.mkv", *tone(rate=rate), "-c:a", "pcm_s16le"), ACCEPTED, SECONDS)
    yield Case("a rate of 1 Hz", changed("wav", by.replaced(struct.pack("<II", 48000, 96000), struct.pack("<II", 1, 2))), EITHER)
    for layout in ("mono", "stereo", "2.1", "quad", "5.1", "5.1(side)", "6.1", "7.1", "hexadecagonal"):
        channels = f"{layout}|c0=c0|c1=c0" if layout != "mono" else "mono|c0=c0"
        yield Case(layout, made("layout.wav", *tone(channels=channels), "-c:a", "pcm_s16le"), ACCEPTED, SECONDS)
    many = "pan=24c|" + "|".join(f"c{n}=c0" for n in range(24))
    yield Case("24 channels", made("many.wav", *tone(), "-af", many, "-c:a", "pcm_s16le"), ACCEPTED, SECONDS)
    for codec in ("pcm_f64le", "pcm_u8", "adpcm_ima_wav", "pcm_alaw"):
        yield Case(codec, made("codec.wav", *tone(), "-c:a", codec), ACCEPTED, SECONDS)
    for rate in ("25", "24000/1001", "1/2", "1000"):
        movie = made("rate.mkv", *PICTURE, *tone(), "-t", str(SECONDS), "-r", rate, "-c:v", "mpeg4", "-c:a", "flac")
        yield Case(f"{rate} pictures a second", movie, ACCEPTED, SECONDS)
    varying = ["-vf", "select='lt(t,1)+not(mod(n,7))'", "-fps_mode", "vfr", "-t", str(SECONDS), "-c:v", "mpeg4", "-c:a", "aac"]
    yield Case("pictures at a varying rate", made("vfr.mp4", *PICTURE, *tone(), *varying), ACCEPTED, SECONDS)
    late = ["-itsoffset", "90", *tone(), "-map", "0", "-map", "1", "-c:v", "mpeg4", "-c:a", "flac"]
    yield Case("sound that begins late", made("late.mkv", *PICTURE, *late, "-t", "93"), ACCEPTED, 93)
    hole = ["-bsf:a", "setts=pts=PTS+gte(N\\,20)*3000000*TB/TB:dts=DTS"]
    yield Case("timestamps that leap", made("leap.mkv", *tone(), "-c:a", "flac", *hole), EITHER)


def headers() -> Iterator[Case]:
    """Headers that lie."""
    for suffix, right in (("mp4", "mkv"), ("mkv", "mp4"), ("ts", "avi"), ("wav", "mp4"), ("flac", "txt"), ("webm", "")):
        name = f"movie.{right}" if right else "movie"
        yield Case(f"{suffix} called {name}", changed(suffix, lambda data: data, name=name), ACCEPTED, SECONDS)
    for seconds in (0.0, -5.0, 1e-3, 400.0, 1e7, 1e300, float("inf"), float("nan")):
        yield Case(f"Matroska's duration is {seconds}", changed("mkv", by.matroska_duration(seconds)), EITHER, SECONDS)
    for field, at in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        for value in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
            change = by.boxes({field: by.numbers(at, value)})
            yield Case(f"MP4's {field.decode()} lasts {value}", changed("mp4", change), EITHER, SECONDS)
    for scale in (0, 1, 0xFFFFFFFF):
        yield Case(f"MP4's time scale is {scale}", changed("mp4", by.boxes({b"mdhd": by.numbers(12, scale)})), EITHER)
    for name, values in {
        "begins in 24 days": (0x7FFFFFFF, 0xFFFFFFFF),
        "begins behind its end": (1000, 0x7FFFFFF0),
        "lasts nothing": (0, 0),
        "lasts for ever": (0xFFFFFFFF, 0),
    }.items():
        yield Case(f"an edit list that {name}", changed("mp4", by.boxes({b"elst": by.numbers(8, *values)})), EITHER)
    many = by.boxes({b"elst": lambda _: struct.pack(">II", 0, 2000) + struct.pack(">III", 1, 0, 0x10000) * 2000})
    yield Case("an edit list of 2000 edits", changed("mp4", many), EITHER)
    for samples in (2_000_000, 150_000_000, 0xFFFFFFFF):
        yield Case(f"an index of {samples} samples in a few bytes", changed("mp4", by.endless_table(samples)), EITHER)
    for size in (0, 1, 0xFFFFFFFF):
        yield Case(f"WAV with {size} bytes of sound", changed("wav", by.wave_size(size)), EITHER)
    yield Case("an unknown codec", changed("mkv", by.replaced(b"A_FLAC", b"A_\x1b[2J")), REFUSED)
    yield Case("boxes in boxes", changed("mp4", lambda data: data[:32] + b"\0\0\x40\0moov" * 2000 + data[32:]), REFUSED)


def texts() -> Iterator[Case]:
    """Tags, chapters, attachments and subtitles."""
    escape, long = "\x1b]0;owned\x07\x1b[2J\n\r\x9b31m", "wide " * 20000

    def tags(name: str, *options: str, want: str = ACCEPTED, seconds: float | None = SECONDS, **more: object) -> Case:
        return Case(name, lambda goods, folder: tagged(folder, "tagged.mkv", *options, **more), want, seconds)  # type: ignore[arg-type]

    yield tags("escape codes in a title", "-metadata:s:a:0", f"title={escape}", "-metadata", f"title={escape}")
    yield tags("escape codes in a language", "-metadata:s:a:0", f"language={escape}", "-metadata:s:s:0", f"language={escape}")
    yield tags("a title of 100 kB", "-metadata:s:a:0", f"title={long}", "-metadata:s:s:0", f"title={long}")
    yield tags("a language that is a path", "-metadata:s:s:0", "language=../../../tmp/x", "-metadata:s:a:0", "language=../..")
    yield tags("5000 tags", *[text for n in range(5000) for text in ("-metadata", f"tag{n}=x")])
    for path in ("../../../../stolen.ttf", "/etc/passwd", "a\nb\x1b[2J", "$(touch owned)", "x" * 5000):
        yield tags(f"an attachment called {path[:20]!r}", attached=[(path, "application/x-truetype-font")])
    yield tags("a cover that is none", attached=[("cover.png", "image/png"), ("../cover.jpg", "image/jpeg")])
    yield tags("40 attachments", attached=[(f"{n}.ttf", "font/ttf") for n in range(40)])

    def chapters(goods: Path, folder: Path) -> Path:
        one = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle=\x1b[2J{}\n"
        text = ";FFMETADATA1\n" + "".join(one.format(n, n + 1, n) for n in range(3000))
        (folder / "chapters").write_text(text, encoding="utf-8")
        return make(folder / "chapters.mkv", *tone(), "-i", f"file:{folder / 'chapters'}", "-map_chapters", "1", "-c:a", "flac")

    yield Case("3000 chapters with escape codes", chapters, ACCEPTED, SECONDS)

    def rewritten(name: str, old: bytes, new: bytes, *options: str, want: str = ACCEPTED) -> Case:
        def write(goods: Path, folder: Path) -> Path:
            path = tagged(folder, "tagged.mkv", *options)
            path.write_bytes(by.replaced(old, new)(path.read_bytes()))
            return path

        return Case(name, write, want, SECONDS)

    broken = b"\xff\xfe\x80\xc3("
    yield rewritten("a title that is no UTF-8", b"TITLE", broken, "-metadata:s:a:0", "title=TITLE")
    yield rewritten("a movie's title that is no UTF-8", b"TITLE", broken, "-metadata", "title=TITLE")
    yield rewritten("a tag whose name is no UTF-8", b"TAGTAG", broken + b"!", "-metadata", "TAGTAG=x")
    yield rewritten("a language that is no UTF-8", b"hin", b"\xff\xfe(", "-metadata:s:a:0", "language=hin")
    for codec in (b"S_HDMV/PGS\0", b"S_VOBSUB\0\0\0", b"S_TEXT/SSA\0", b"S_TEXT/\x1b[2J", b"S_DVBSUB\0\0\0"):
        yield rewritten(f"subtitles said to be {codec!r}", b"S_TEXT/UTF8", codec)
    for codec in ("ass", "webvtt"):
        yield tags(f"subtitles as {codec}", "-c:s", codec)
    yield rewritten("subtitles that are no UTF-8", b"Hello there", b"\xff\xfeel\x1b[2J\0\x80!", want=ACCEPTED)
    timed = ["-i", "{srt}", "-map", "0", "-map", "1", "-t", "3", "-c:a", "aac", "-c:s", "mov_text"]

    def timed_text(goods: Path, folder: Path) -> Path:
        (folder / "a.srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nHello\n", encoding="utf-8")
        return make(folder / "timed.mp4", *tone(), *[a.format(srt=f"file:{folder / 'a.srt'}") for a in timed])

    yield Case("subtitles as timed text", timed_text, ACCEPTED, SECONDS)


NAMES = (
    "two\nlines.mkv",
    "\x1b]0;owned\x07\x1b[31mred\x1b[0m.mkv",
    "\x9b31m c1.mkv",
    "-i.mkv",
    "--force.mkv",
    "$(touch owned).mkv",
    "`touch owned`.mkv",
    "a;touch owned;.mkv",
    "'quoted' \"twice\".mkv",
    "100%d %s %n %%.mkv",
    "back\\slash\\.mkv",
    "http:movie.mkv",
    "concat:a|b.mkv",
    "pipe:0",
    "%03d.png",
    "[a-z]*?{1,2}.mkv",
    "..mkv",
    "...",
    " spaces around .mkv ",
    "tab\tand\rreturn.mkv",
    "\u202egnp.vkm",
    "no\udcff\udcfeutf8.mkv",
    "😀 जयदेव.mkv",
    "n" * 251 + ".mkv",
    "ж" * 125 + ".mkv",
    "a&b|c>d<e.mkv",
    "~root.mkv",
    "#comment = 'x'.mkv",
)


def names() -> Iterator[Case]:
    """A good movie under every name."""
    for name in NAMES:

        def write(goods: Path, folder: Path, name: str = name) -> Path:
            os.link(good(goods, "mkv"), folder / name)
            return folder / name

        yield Case(f"the name {name[:30]!r}", write, ACCEPTED, SECONDS)


# -- what reads other files ---------------------------------------------------------------------------------------------

HLS = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{0}\n#EXT-X-ENDLIST\n"
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT3S"'
    ' profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp2t">'
    '<Representation id="1" bandwidth="1"><BaseURL>{0}</BaseURL></Representation></AdaptationSet></Period></MPD>'
)
PLAYLISTS = {
    "m3u8": HLS,
    "ffconcat": "ffconcat version 1.0\nfile '{0}'\n",
    "concat.txt": "file '{0}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 {host}\ns=x\nc=IN IP4 {host}\nt=0 0\na=control:{0}\nm=audio {port} RTP/AVP 0\n",
    "mpd": DASH,
    "m3u": "#EXTM3U\n{0}\n",
    "pls": "[playlist]\nFile1={0}\nNumberOfEntries=1\n",
    "xspf": '<playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track><location>{0}</location></track></trackList></playlist>',
    "asx": '<asx version="3.0"><entry><ref href="{0}"/></entry></asx>',
    "avs": 'DirectShowSource("{0}")\n',
    "cpl.xml": '<CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"><Id>{0}</Id></CompositionPlaylist>',
    "idx": "# VobSub index file, v7 (do not modify this line!)\nsize: 720x480\nid: en, index: 0\ntimestamp: 00:00:00:000, filepos: 0\n",
}


def playlists(port: int) -> Iterator[Case]:
    """Lists that point at canary.ts, or at a server here on `port`; under their own name and as a movie."""

    def listed(form: str, name: str, target: str) -> Maker:
        def write(goods: Path, folder: Path) -> Path:
            text = form.format(target.format(canary=goods / "canary.ts"), host="127.0.0.1", port=port)
            (folder / name).write_text(text, encoding="utf-8")
            return folder / name

        return write

    targets = ("{canary}", "file:{canary}", f"http://127.0.0.1:{port}/x.ts", f"tcp://127.0.0.1:{port}", "concat:{canary}|{canary}")
    for number, (suffix, form) in enumerate(PLAYLISTS.items()):
        for name in (f"list.{suffix}", "movie.mkv"):
            target = targets[number % len(targets)]
            yield Case(f"{suffix} as {name} of {target}", listed(form, name, target), REFUSED)
    for target in targets:
        yield Case(f"HLS as movie.mp4 of {target}", listed(HLS, "movie.mp4", target), REFUSED)
        yield Case(f"HLS inside an AVI of {target}", _inside_avi(HLS, target), EITHER, 1.0)
    yield Case("ffconcat inside an AVI", _inside_avi(PLAYLISTS["ffconcat"], "{canary}"), EITHER, 1.0)
    reference = lambda goods, folder: changed("mov", by.elsewhere(goods / "canary.ts"))(goods, folder)  # noqa: E731
    yield Case("QuickTime whose sound lies elsewhere", reference, EITHER)


def _inside_avi(form: str, target: str) -> Maker:
    def write(goods: Path, folder: Path) -> Path:
        text = form.format(target.format(canary=goods / "canary.ts"))
        (folder / "inside.avi").write_bytes(by.avi_with_text(text.encode()))
        return folder / "inside.avi"

    return write


def all_cases(port: int) -> list[Case]:
    """Every kind that is not left to chance."""
    return [*no_files(), *sounds(), *headers(), *texts(), *names(), *playlists(port)]
