#!/usr/bin/env bash
# Lock every environment: native/requirements/<env>.in -> <env>.txt
#
# usage: native/requirements/lock.sh [--upgrade] [--check]
#
#   (nothing)   lock again; versions move only where a .in demands it
#   --upgrade   take the newest versions that all the .in files allow
#   --check     change nothing: prove that each lock agrees with its .in, and that all of them resolve, to builds and
#               without a compiler, on Python 3.10-3.13 on Linux (x86_64, ARM) and on macOS (Apple Silicon)
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

# What this machine's uv and pip are told must not leak into a lock; [tool.uv] of shared/pyproject.toml must hold.
export XDG_CONFIG_HOME=/nowhere XDG_CONFIG_DIRS=/nowhere UV_PYTHON_DOWNLOADS=never
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
    case "$file" in bootstrap.in | constraints.in | torch.in) ;; *) echo "${file%.in}" ;; esac
  done
}

# What uv writes behind a package that every machine of [tool.uv] in shared/pyproject.toml needs.
EVERYWHERE="(python_full_version < '3.14' and platform_machine == 'arm64' and sys_platform == 'darwin')\
 or (python_full_version < '3.14' and platform_machine == 'aarch64' and sys_platform == 'linux')\
 or (python_full_version < '3.14' and platform_machine == 'x86_64' and sys_platform == 'linux')"

# compile OUTPUT ARGUMENT... : one universal resolution, written to OUTPUT (whose present versions are kept). Packages for
# all our machines get no marker: easier to read, and elsewhere an install fails aloud instead of leaving them out.
compile() {
  local output="$1"
  shift
  "$UV" pip compile --quiet --project ../../shared --universal --fork-strategy fewest --python-version 3.10 \
    --no-annotate --no-emit-index-url --no-emit-find-links --overrides overrides.txt --excludes excludes.txt \
    --custom-compile-command "native/requirements/lock.sh" "$@" --output-file "$output" >/dev/null
  sed "s/ ; $EVERYWHERE//" "$output" >"$output.new"
  mv "$output.new" "$output"
}

# lock_all FOLDER [--upgrade] : constraints.txt and every <env>.txt, into FOLDER.
lock_all() {
  local folder="$1" env inputs=() excludes
  shift
  for env in $(environments); do inputs+=("$env.in"); done
  compile "$folder/constraints.txt" --constraints constraints.in "$@" ../../shared/pyproject.toml "${inputs[@]}"
  compile "$folder/bootstrap.txt" --generate-hashes "$@" bootstrap.in
  for env in $(environments); do
    excludes=()
    if [[ -f "$env.excludes.txt" ]]; then excludes=(--excludes "$env.excludes.txt"); fi
    compile "$folder/$env.txt" --generate-hashes --constraints "$folder/constraints.txt" \
      ${excludes[@]+"${excludes[@]}"} "$@" ../../shared/pyproject.toml "$env.in"
  done
}

# resolves PYTHON PLATFORM ENV... : the environments' .in together resolve there to what the locks pin, from builds alone.
resolves() {
  local python="$1" platform="$2" env inputs=() options=()
  shift 2
  for env in "$@"; do
    inputs+=("$env.in")
    if [[ $# == 1 && -f "$env.excludes.txt" ]]; then options=(--excludes "$env.excludes.txt"); fi
  done
  # The one package that is built from source, and only there: it has no builds for these.
  case "$python $platform" in "3.10 aarch64-many"* | "3.12 aarch64-many"*) options+=(--no-binary pocketsphinx) ;; esac
  "$UV" pip compile --quiet --no-header --only-binary :all: ${options[@]+"${options[@]}"} --constraints constraints.txt \
    --overrides overrides.txt --excludes excludes.txt --python-version "$python" --python-platform "$platform" \
    ../../shared/pyproject.toml "${inputs[@]}" >/dev/null
}

# prove PLATFORMS ENV... : print a line for each platform and Python; fail if one does not resolve.
prove() {
  local platforms="$1" platform python status=0
  shift
  for platform in $platforms; do
    for python in $PYTHONS; do
      if resolves "$python" "$platform" "$@"; then
        echo "ok Python $python $platform: $*"
      else
        echo "lock.sh: does not resolve on $platform with Python $python: $*" >&2
        status=1
      fi
    done
  done
  return "$status"
}

# Every lock is within constraints.txt (the tests hold that), so what is proved of all together holds for each.
check() {
  local env folder failed=0 others=()
  SCRATCH="$(mktemp -d)"
  trap 'rm -rf "$SCRATCH"' EXIT
  folder="$SCRATCH"
  cp ./*.txt "$folder/"
  lock_all "$folder"
  for env in constraints bootstrap $(environments); do
    cmp -s "$env.txt" "$folder/$env.txt" || {
      echo "lock.sh: $env.txt is stale: run native/requirements/lock.sh" >&2
      failed=1
    }
    case "$env" in constraints | bootstrap | asr-mlx | bench) ;; *) others+=("$env") ;; esac
  done
  prove "$PLATFORMS" "${others[@]}" || failed=1
  prove "$PLATFORMS_MLX" asr-mlx || failed=1
  prove "$PLATFORMS_MLX" bench || failed=1
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
