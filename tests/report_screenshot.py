"""The picture of report.html in the README, taken anew:

native/venvs/dev/bin/python tests/report_screenshot.py out/station docs/report.png [--at SECONDS] [--dark] [--phone]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import browser as machine

from reelscribe import report

DESKTOP, PHONE = (1440, 900), (390, 844)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movie_dir", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--at", type=float, default=22.5, metavar="SECONDS", help="where the movie stands (default: %(default)s)")
    parser.add_argument("--dark", action="store_true", help="as on a system with dark colours")
    parser.add_argument("--phone", action="store_true", help="as on a phone")
    parser.add_argument("--whole", action="store_true", help="the whole page, not its first screen")
    args = parser.parse_args()

    width, height = PHONE if args.phone else DESKTOP
    with machine.opened() as browser:
        scheme = "dark" if args.dark else "light"
        size = {"width": width, "height": height}
        page = browser.new_page(viewport=size, color_scheme=scheme, is_mobile=args.phone, device_scale_factor=2 if args.phone else 1)
        page.goto(report.write(args.movie_dir).resolve().as_uri())
        page.evaluate("at => { document.getElementById('video').currentTime = at; }", args.at)
        page.wait_for_timeout(1500)  # until the picture is there and the list has scrolled
        page.screenshot(path=args.picture, full_page=args.whole)


if __name__ == "__main__":
    main()
