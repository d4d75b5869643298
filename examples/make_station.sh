#!/usr/bin/env bash
# Make examples/station.mp4 and its truth again: sixteen lines by three espeak-ng voices over a drawn station at night.
#
#   examples/make_station.sh          from any folder; about two minutes
#
# Reads examples/station/script.tsv (pauses, speakers, shots, lines), voices.tsv and pronounce.tsv; writes
# examples/station.mp4, examples/station/station.json (sentences, words, cuts, chapters) and station.rttm (turns).
# Needs libespeak-ng (apt install espeak-ng, brew install espeak-ng) and uv; uv brings Python packages and an ffmpeg.
# The files in the repository come from espeak-ng 1.51 on Linux x86-64; another version speaks with other timing.
set -euo pipefail

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$0"
  exit 0
fi
if ! command -v uv >/dev/null; then
  echo "make_station.sh: uv is missing: pip install uv" >&2
  exit 4
fi
here=$(cd "$(dirname "$0")" && pwd)
exec uv run --no-project --script "$here/station/build.py"
