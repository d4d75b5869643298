#!/usr/bin/env bash
#
# Run every check and every test of reelscribe, building first what they need.
#
#   tests/run.sh [--fast] [PYTEST ARGUMENT…]
#
#   --fast    without the environments of the stages and the tests that need them or build some: a minute or two
#   --help    this text
#
# Everything runs even when something before it failed; what failed is said at the end. pytest comes last, and its
# arguments are those given here: tests/run.sh -k lease, tests/run.sh -m slow. It runs two test files at a time; -n 0 runs
# one after the other, as a debugger needs it. With CI_STRICT=1 a test that is skipped without one of the marks gpu, mps,
# shared or cluster counts as failed.
#
# Exit codes: 0 all is well, 1 something failed, 2 usage, 130 interrupted.

set -euo pipefail

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
readonly root

fast=
failed=()      # names of the checks that failed
shell_files=() # every tracked or new shell script
pytest_arguments=(-n 2 --dist loadfile --no-loadscope-reorder)

say() {
  printf '%s\n' "$*" >&2
}

show_help() {
  sed -n '3,/^$/ s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --fast) fast=1 ;;
      -h | --help) show_help && exit 0 ;;
      *) pytest_arguments+=("$1") ;;
    esac
    shift
  done
}

# Every environment of the project, those of the tests included; with --fast only what tests of the package need.
build_environments() {
  local environment rest environments=()
  if [ -n "$fast" ]; then
    environments=(dev core)
  else
    while IFS=: read -r environment rest; do
      environments+=("$environment")
    done < <(native/setup_venvs.sh --list)
  fi
  native/setup_venvs.sh "${environments[@]}" </dev/null
}

# The tests of report.html drive the machine's own Chromium or Chrome: on Debian root gets one here; elsewhere they skip when there is none.
provide_browser() {
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then return 0; fi
  done
  if [ ! -e /etc/debian_version ] || [ "$(id -u)" -ne 0 ]; then return 0; fi
  say "fetching Chromium with apt-get, for the tests of report.html"
  apt-get update -qq </dev/null >&2 || return
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium </dev/null >&2
}

# Scripts are known by their suffix or their first line.
find_shell_files() {
  local file first
  while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    case $file in
      *.sh | *.bats) shell_files+=("$file") ;;
      *)
        case ${file##*/} in *.*) continue ;; esac
        if IFS= read -r first <"$file" && [[ $first == '#!'*bash ]]; then shell_files+=("$file"); fi
        ;;
    esac
  done < <(git ls-files -z --cached --others --exclude-standard)
}

check() { # NAME COMMAND…
  local name=$1
  shift
  say "── $name"
  "$@" </dev/null >&2 || failed+=("$name")
}

static_checks() {
  find_shell_files
  check shellcheck shellcheck -x "${shell_files[@]}"
  check shfmt shfmt -d -i 2 -ci "${shell_files[@]}"
  check "ruff check" ruff check .
  check "ruff format" ruff format --check .
  check mypy mypy --config-file pyproject.toml shared/src
}

bats_tests() {
  local files=(tests/bats/*.bats)
  [ -e "${files[0]}" ] || return 0
  check bats bats --print-output-on-failure "${files[@]}"
}

main() {
  local code=0 joined=""
  parse "$@"
  cd "$root"
  build_environments || { say "tests/run.sh: an environment could not be built" && exit 1; }
  if [ -n "$fast" ]; then
    pytest_arguments+=(--ignore=tests/test_workflow.py --ignore=tests/test_cluster.py)
    pytest_arguments+=(--ignore=tests/stages --ignore=tests/test_end_to_end.py --ignore=tests/test_trust_kill.py --ignore=tests/test_trust_faults.py)
  fi
  export PATH="$root/native/venvs/dev/bin:$PATH"
  provide_browser || failed+=("Chromium")
  static_checks
  [ -n "$fast" ] || bats_tests
  # conftest.py says them in pytest's summary, so that pytest's closing line stays the last.
  [ ${#failed[@]} -eq 0 ] || joined=$(printf '%s, ' "${failed[@]}")
  say "── pytest"
  FAILED_CHECKS=${joined%, } python -m pytest "${pytest_arguments[@]}" </dev/null || code=$?
  [ ${#failed[@]} -eq 0 ] || code=1
  exit "$code"
}

trap 'exit 130' INT TERM HUP
main "$@"
