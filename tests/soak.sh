#!/usr/bin/env bash
#
# Try hard to break reelscribe: killed, starved, fed rubbish, attacked. Takes hours; tests/run.sh has a short form of each part.
#
#   tests/soak.sh [options] [PART…]     parts: the files of tests/soak, as kill or faults (default: all)
#
#   --seed N       the same choices for the same N (default: 1)
#   --quick        ten tries of each part
#   --json FILE    the numbers and failures of all parts
#   --list         the parts
#   --help         this text
#
# Every failure is said when it is seen; at the end a table says how much each part has tried and how much of it was clean.
# The numbers of the last long run are in docs/reliability.md.
#
# Exit codes: 0 all is clean, 1 something is not, 2 usage, 130 interrupted.

set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly root
readonly python=$root/native/venvs/dev/bin/python

parts=()
options=()
summary=() # --json FILE, for the summary
reports=   # folder of the parts' own reports

say() {
  printf '%s\n' "$*" >&2
}

show_help() {
  sed -n '3,/^$/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

usage() {
  say "soak.sh: $1; see --help"
  exit 2
}

# Every part there is: a file added to tests/soak is one, unless its name begins with an underscore.
list_parts() {
  local file name
  for file in "$root"/tests/soak/*.py; do
    name=${file##*/}
    case $name in _* | common.py) ;; *) printf '%s\n' "${name%.py}" ;; esac
  done
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --seed | --json) [ $# -gt 1 ] || usage "$1 needs a value" ;;
    esac
    case $1 in
      --seed) options+=(--seed "$2") && shift ;;
      --json) summary=(--json "$2") && shift ;;
      --quick) options+=(--count 10) ;;
      --list) list_parts && exit 0 ;;
      -h | --help) show_help && exit 0 ;;
      -*) usage "there is no option $1" ;;
      *) [ -f "$root/tests/soak/$1.py" ] || usage "there is no part $1" && parts+=("$1") ;;
    esac
    shift
  done
}

main() {
  local part code=0 found=()
  parse "$@"
  if [ ${#parts[@]} -eq 0 ]; then
    while IFS= read -r part; do parts+=("$part"); done < <(list_parts)
  fi
  "$root/native/setup_venvs.sh" </dev/null
  "$root/native/setup_venvs.sh" dev </dev/null
  reports=$(mktemp -d "${TMPDIR:-/tmp}/soak.XXXXXX")
  trap 'rm -rf "$reports"' EXIT
  for part in ${parts[@]+"${parts[@]}"}; do
    say "── $part"
    "$python" "$root/tests/soak/$part.py" ${options[@]+"${options[@]}"} --json "$reports/$part.json" </dev/null || code=1
    [ ! -f "$reports/$part.json" ] || found+=("$reports/$part.json")
  done
  [ ${#found[@]} -gt 0 ] || usage "no part has tried anything"
  "$python" "$root/tests/soak/common.py" "${found[@]}" ${summary[@]+"${summary[@]}"} || code=1
  return "$code"
}

trap 'exit 130' INT TERM HUP
main "$@"
