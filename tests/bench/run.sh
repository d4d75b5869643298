#!/usr/bin/env bash
#
# Measure this pipeline beside what people run instead, and print tables: wall and CPU seconds, peak memory, ratios.
#
#   tests/bench/run.sh [--minutes N] [--runs N] [--only GROUP,…] [--json FILE] [--markdown]
#   tests/bench/run.sh growth [--lengths 15,60,180] [--only STAGE,…] [--json FILE] [--markdown]
#   tests/bench/run.sh setup [--warm]
#
#   (nothing)   tests/bench/compare.py: half an hour on two quiet cores
#   growth      tests/bench/growth.py: time and memory of films of any length: half an hour
#   setup       a fresh clone's environments: built with what uv has in its cache, built again for nothing, their disk space; then
#               (not with --warm) built with an empty cache, all of it fetched. Needs 8 GB, 20 with the empty cache
#   --help      what a part measures, and all its options
#
# The first two build the environments that they need, those of the others too (bench).

set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
readonly ENVIRONMENTS="core demux silero-vad pyannote-vad diarization asr asr-mlx post-ner subtitle-gen dev bench"

# timed LABEL COMMAND… : a row of the table.
timed() {
  local label=$1 started=$SECONDS
  shift
  "$@" </dev/null >&2
  echo "| $label | $((SECONDS - started)) s |"
}

# disk_of FOLDER… : MiB, what they share counted once.
disk_of() { du -smc "$@" | awk 'END { print $1 }'; }

# A folder for each clone, beside this checkout's environments: hard links do not cross filesystems.
measure_setup() {
  local scratch largest=0 size env
  scratch=$(mktemp -d "$PWD/native/venvs/.bench.XXXXXX")
  # shellcheck disable=SC2064 # now, as it is local
  trap "rm -rf '$scratch'" EXIT
  git clone --quiet . "$scratch/clone"
  echo "| set-up of all environments | |"
  echo "| --- | --- |"
  timed "everything in uv's cache" "$scratch/clone/native/setup_venvs.sh"
  timed "nothing to do" "$scratch/clone/native/setup_venvs.sh"
  for env in "$scratch"/clone/native/venvs/*/; do
    size=$(disk_of "$env")
    if [ "$size" -gt "$largest" ]; then largest=$size; fi
  done
  echo "| all environments | $(disk_of "$scratch"/clone/native/venvs/*/) MB |"
  echo "| the largest | $largest MB |"
  if [ "${1:-}" != --warm ]; then
    rm -rf "$scratch/clone/native/venvs"
    UV_CACHE_DIR="$scratch/cache" timed "an empty cache" "$scratch/clone/native/setup_venvs.sh"
  fi
  echo
  echo "$(uname -sm), load average$(uptime | sed 's/.*average[s]*://')"
}

main() {
  local part=compare
  case "${1:-}" in
    setup)
      shift
      measure_setup "$@"
      return
      ;;
    growth)
      part=growth
      shift
      ;;
  esac
  # shellcheck disable=SC2086 # words
  native/setup_venvs.sh $ENVIRONMENTS </dev/null
  exec native/venvs/dev/bin/python "tests/bench/$part.py" "$@"
}

main "$@"
