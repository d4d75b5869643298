#!/usr/bin/env bash
#
# Measure this pipeline beside what people run instead, and print tables: wall and CPU seconds, peak memory, ratios.
#
#   tests/bench/run.sh [--minutes N] [--runs N] [--only GROUP,…] [--json FILE] [--markdown]
#   tests/bench/run.sh growth [--lengths 15,60,180] [--only STAGE,…] [--json FILE] [--markdown]
#
#   (nothing)   tests/bench/compare.py: some ten minutes on two quiet cores
#   growth      tests/bench/growth.py: time and memory of films of any length: an hour
#   --help      what a part measures, and all its options
#
# Builds the environments that it needs, those of the others too (bench, 7 GB where they are not shared with ours).

set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

part=compare
case "${1:-}" in
  growth)
    part=growth
    shift
    ;;
esac
native/setup_venvs.sh core demux silero-vad pyannote-vad diarization asr asr-mlx post-ner subtitle-gen dev bench </dev/null
exec native/venvs/dev/bin/python "tests/bench/$part.py" "$@"
