#!/usr/bin/env bash
# Lock every environment: native/requirements/<env>.in -> <env>.txt
#
# usage: native/requirements/lock.sh [--upgrade] [--check]
#
#   (nothing)   lock again; versions move only where a .in demands it
#   --upgrade   take the newest versions that all the .in files allow
#   --check     change nothing: prove that each lock agrees with its .in, and that every package of it can be
#               installed on Python 3.10-3.13 on Linux (x86_64, ARM) and on macOS (Apple Silicon)
#
# Every lock holds the packages of its .in and what shared/pyproject.toml depends on. First all environments are
# resolved together into constraints.txt, then each one within it: a package has one version wherever it is used.
#
#   constraints.in        bounds for all            excludes.txt          dependencies that no lock may carry
#   overrides.txt         dependencies mended       <env>.excludes.txt    the same for one environment
#
# Needs uv (native/setup_venvs.sh fetches one) and an index; UV_DEFAULT_INDEX names a mirror. Locks name no index.
# Exit codes: 0 done, 2 usage, 4 no uv, 6 a lock is stale or cannot be installed somewhere.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"

PYTHONS="3.10 3.11 3.12 3.13"
# glibc 2.28 is PyTorch's floor, 2.35 MLX's. macOS 14 is MLX's floor. No Intel Macs: PyTorch 2.8 has no builds for them.
PLATFORMS="x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin"
PLATFORMS_MLX="x86_64-manylinux_2_35 aarch64-manylinux_2_35 aarch64-apple-darwin"
export MACOSX_DEPLOYMENT_TARGET=14.0

# What this machine's uv and pip are told must not leak into a lock.
export UV_NO_CONFIG=1 UV_PYTHON_DOWNLOADS=never
unset UV_FIND_LINKS UV_EXTRA_INDEX_URL UV_INDEX UV_CONSTRAINT UV_OVERRIDE UV_EXCLUDE UV_EXCLUDE_NEWER UV_TORCH_BACKEND

usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]##*/}"; }
die() {
  echo "lock.sh: $2" >&2
  exit "$1"
}

find_uv() {
  if [[ -x ../venvs/.bootstrap/bin/uv ]]; then
    echo ../venvs/.bootstrap/bin/uv
  else
    command -v uv || die 4 "no uv here: run native/setup_venvs.sh core, which fetches one"
  fi
}

environments() {
  local file
  for file in *.in; do
    case "$file" in constraints.in | torch.in) ;; *) echo "${file%.in}" ;; esac
  done
}

# compile OUTPUT ARGUMENT... : one universal resolution, written to OUTPUT (whose present versions are kept).
compile() {
  local output="$1"
  shift
  "$UV" pip compile --quiet --universal --fork-strategy fewest --python-version 3.10 --no-emit-index-url \
    --no-emit-find-links --overrides overrides.txt --excludes excludes.txt \
    --custom-compile-command "native/requirements/lock.sh" "$@" --output-file "$output" >/dev/null
}

# lock_all FOLDER [--upgrade] : constraints.txt and every <env>.txt, into FOLDER.
lock_all() {
  local folder="$1" env inputs=() excludes
  shift
  for env in $(environments); do inputs+=("$env.in"); done
  compile "$folder/constraints.txt" --no-annotate --constraints constraints.in "$@" ../../shared/pyproject.toml "${inputs[@]}"
  for env in $(environments); do
    excludes=()
    if [[ -f "$env.excludes.txt" ]]; then excludes=(--excludes "$env.excludes.txt"); fi
    compile "$folder/$env.txt" --generate-hashes --no-annotate --constraints "$folder/constraints.txt" \
      ${excludes[@]+"${excludes[@]}"} "$@" ../../shared/pyproject.toml "$env.in"
  done
}

# installs ENV PYTHON PLATFORM : every package of the lock has a build for it.
installs() {
  local source=()
  # The one package that is built from source: pocketsphinx has no builds for these.
  case "$1 $2 $3" in "asr 3.10 aarch64-manylinux"* | "asr 3.12 aarch64-manylinux"*) source=(--no-binary pocketsphinx) ;; esac
  "$UV" pip compile --quiet --no-deps --no-header --only-binary :all: ${source[@]+"${source[@]}"} \
    --python-version "$2" --python-platform "$3" "$1.txt" >/dev/null
}

check() {
  local folder env python platform platforms failed=0
  folder="$(mktemp -d)"
  trap 'rm -rf "$folder"' EXIT
  cp ./*.txt "$folder/"
  lock_all "$folder"
  for env in constraints $(environments); do
    cmp -s "$env.txt" "$folder/$env.txt" || {
      echo "lock.sh: $env.txt is not what $env.in gives: run native/requirements/lock.sh" >&2
      failed=1
    }
  done
  for env in $(environments); do
    platforms="$PLATFORMS"
    if [[ "$env" == asr-mlx ]]; then platforms="$PLATFORMS_MLX"; fi
    for platform in $platforms; do
      for python in $PYTHONS; do
        if installs "$env" "$python" "$platform"; then
          echo "ok $env $platform Python $python"
        else
          echo "lock.sh: $env cannot be installed on $platform with Python $python" >&2
          failed=1
        fi
      done
    done
  done
  [[ "$failed" == 0 ]] || exit 6
}

main() {
  case "${1:-}" in
    -h | --help)
      usage
      return
      ;;
  esac
  UV="$(find_uv)"
  case "${1:-}" in
    "") lock_all . ;;
    --upgrade) lock_all . --upgrade ;;
    --check) check ;;
    *) die 2 "unknown argument: $1 (see --help)" ;;
  esac
}

main "$@"
