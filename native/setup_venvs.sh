#!/usr/bin/env bash
# Build the Python environments native/venvs/<env> from their locks, and say why. Does nothing when all are current.
#
# usage: native/setup_venvs.sh [--list | --check] [--force] [ENV ...]
#
#   ENV         environments to build: those of native/stages.txt, core, dev, bench, workflow.
#               Default: core and every stage's (asr-mlx on Apple Silicon only); workflow is for native/workflow/run.sh, dev for
#               the tests, bench for tests/bench/run.sh
#   --list      print every environment and its state
#   --check     print those that would be built, and why; exit 4 if there are any
#   --force     build anew even what is current
#   --watch PID give up when that process is gone (pipeline.sh passes its own)
#   -h, --help  this text
#
# Needs Python 3.10-3.13 and nothing else: uv is fetched with pip when the machine has none. A new environment is built
# beside the old one and takes its place when it is complete, so a failed or interrupted set-up changes nothing.
#
# environment variables:
#   PYTHON          the Python to build with. Default: the first fit one of python3, python3.13 ... python3.10
#   TORCH_BACKEND   auto (default), cpu or pypi. auto takes PyTorch's CPU builds on a Linux without an NVIDIA GPU when
#                   PyTorch's own index answers, and the default index's build otherwise
#   PIP_*, UV_*     pip's index, find-links, certificate, proxy and timeout settings (its files too) hold for uv;
#                   uv's own come first
#
# Exit codes: 0 done, 2 usage, 4 no fit Python or pip (--check: not current), 5 out of space, 6 an install failed,
# 130 interrupted (143 by TERM, 129 by HUP).
set -euo pipefail

NATIVE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
SHARED="$(dirname "$NATIVE")/shared"
VENVS="$NATIVE/venvs"
LOCKS="$NATIVE/requirements"
BUSY="$VENVS/.busy"      # a symbolic link to "host:pid" of the set-up at work: made atomically, readable at once
STAMP="reelscribe.stamp" # in each environment: what it was built from

UV_LEAST="0.7" # the first whose own backend builds shared/ without fetching anything

say() { echo "setup_venvs: $*" >&2; }
die() {
  local code="$1"
  shift
  say "$*"
  exit "$code"
}
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "$NATIVE/setup_venvs.sh"; }

# --- what there is and what is wanted ---------------------------------------------------------------------------------

# Print every environment of the stage table, one a line, in the table's order.
stage_environments() {
  local number environments
  while read -r number _ environments _; do
    case "$number" in '' | '#'*) continue ;; esac
    echo "$environments" | tr ',' '\n'
  done <"$NATIVE/stages.txt"
}

all_environments() {
  echo core
  stage_environments
  echo dev
  echo bench
  echo workflow
}

on_apple_silicon() { [[ "$(uname -s)-$(uname -m)" == Darwin-arm64 ]]; }

default_environments() {
  local env
  for env in core $(stage_environments); do
    if [[ "$env" == asr-mlx ]] && ! on_apple_silicon; then continue; fi
    echo "$env"
  done
}

has_nvidia_gpu() { [[ -e /proc/driver/nvidia/version || -e /dev/nvidiactl || -e /dev/dxg ]]; }

# Read every lock's digest once: one process for all environments.
read_digests() {
  DIGESTS="$(cksum "$LOCKS"/*.txt "$SHARED/pyproject.toml")"
}

# digest_of FILE : sets digest to its CRC and size.
digest_of() {
  local crc size path
  digest=""
  while read -r crc size path; do
    if [[ "$path" == "$1" ]]; then digest="$crc-$size"; fi
  done <<<"$DIGESTS"
}

# outdated ENV : sets why to what differs from what it was built from.
outdated() {
  local key value
  while IFS='=' read -r key value; do
    case "$key" in
      lock)
        digest_of "$LOCKS/$1.txt"
        if [[ "$value" != "$digest" ]]; then why="its lock changed"; fi
        ;;
      torch-cpu)
        digest_of "$LOCKS/torch-cpu.txt"
        if [[ "$value" != "$digest" ]]; then why="its lock changed"; fi
        ;;
      shared)
        digest_of "$SHARED/pyproject.toml"
        if [[ "$value" != "$digest" ]]; then why="shared/pyproject.toml changed"; fi
        ;;
      python)
        if [[ -n "$WANTED_PYTHON" && "$value" != "$WANTED_PYTHON" ]]; then why="it has Python $value, not $WANTED_PYTHON"; fi
        ;;
      torch)
        case "$TORCH_BACKEND $value" in
          "auto cpu") if has_nvidia_gpu; then why="there is a GPU now and its torch is the CPU build"; fi ;;
          "cpu pypi" | "pypi cpu") why="it has the $value build of torch, not the $TORCH_BACKEND one" ;;
        esac
        ;;
    esac
  done <"$VENVS/$1/$STAMP"
}

# why_build ENV : sets why, empty when the environment is current. Starts no process, so that asking costs nothing.
why_build() {
  local env="$1" leftover
  why=""
  if [[ ! -e "$VENVS/$env" ]]; then
    why="it is missing"
    for leftover in "$VENVS/.new.$env."*; do
      if [[ -e "$leftover" ]]; then why="its last set-up was interrupted"; fi
    done
  elif [[ ! -x "$VENVS/$env/bin/python" ]]; then
    why="its Python is gone"
  elif [[ ! -f "$VENVS/$env/$STAMP" ]]; then
    why="it is incomplete"
  else
    if [[ "$FORCE" == yes ]]; then why="of --force"; fi
    outdated "$env"
  fi
}

# --- processes --------------------------------------------------------------------------------------------------------

# supervised WHAT ERRORS COMMAND... : run it so that signals are answered at once and it never outlives this script or the
# process that --watch names. Its stderr goes to the file ERRORS, "" for our own. Where no bar can be shown, a line every
# minute says that it is still at it.
supervised() {
  local status=0
  supervise "$@" &
  SUPERVISOR=$!
  wait "$SUPERVISOR" || status=$?
  SUPERVISOR=""
  kill -0 "$WATCH" 2>/dev/null || interrupted 130
  return "$status"
}

supervise() {
  local what="$1" errors="$2" child started=$SECONDS said=0
  shift 2
  trap - EXIT
  if [[ -n "$errors" ]]; then "$@" </dev/null 2>"$errors" & else "$@" </dev/null & fi
  child=$!
  trap 'kill "$child" 2>/dev/null; wait "$child"; exit 130' INT TERM HUP
  while kill -0 "$child" 2>/dev/null; do
    if ! kill -0 "$$" 2>/dev/null || ! kill -0 "$WATCH" 2>/dev/null; then
      kill "$child" 2>/dev/null || true
      exit 130
    fi
    if ((SECONDS - started >= said + 60)); then
      said=$((SECONDS - started))
      if [[ ! -t 2 ]]; then say "$what: still at it after $said s"; fi
    fi
    sleep 0.1
  done
  wait "$child"
}

interrupted() {
  trap '' INT TERM HUP
  say "interrupted: the environments are as they were; run it again to go on"
  exit "$1"
}

clean_up() {
  local status=$?
  if [[ -n "$SUPERVISOR" ]]; then
    kill "$SUPERVISOR" 2>/dev/null || true
    wait "$SUPERVISOR" 2>/dev/null || true
  fi
  rm -rf "$VENVS/.new."*".$$"
  if holds_turn "$ME"; then rm -f "$BUSY"; fi
  exit "$status"
}

# --- one set-up at a time ---------------------------------------------------------------------------------------------

holds_turn() { [[ "$(readlink "$BUSY" 2>/dev/null)" == "$1" ]]; }

# holder_lives HOST:PID : no when that is a process of this machine that has ended or is no set-up any more.
holder_lives() {
  local pid="${1##*:}" command
  if [[ "${1%:*}" != "$(uname -n)" ]]; then return 0; fi
  kill -0 "$pid" 2>/dev/null || return 1
  command="$(ps -p "$pid" -o command= 2>/dev/null || tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null || true)"
  case "$command" in '' | *setup_venvs.sh*) return 0 ;; *) return 1 ;; esac
}

# Wait for the turn. A lost race costs double work and nothing else: what is built is swapped in by renames.
take_turn() {
  local holder waited_s=0 misses=0
  until ln -s "$ME" "$BUSY" 2>/dev/null; do
    holder="$(readlink "$BUSY" || true)"
    if [[ -z "$holder" ]]; then # given back just now, or it could not be made
      misses=$((misses + 1))
      ((misses < 5)) || die 6 "$BUSY cannot be made: check the rights, the space and the filesystem of $VENVS"
      continue
    fi
    if ! holder_lives "$holder"; then
      if holds_turn "$holder"; then rm -f "$BUSY"; fi
      continue
    fi
    if ((waited_s % 60 == 0)); then
      say "waiting for another set-up ($holder, after $waited_s s); if there is none, remove $BUSY"
    fi
    kill -0 "$WATCH" 2>/dev/null || interrupted 130
    sleep 1
    waited_s=$((waited_s + 1))
  done
}

# A set-up that was killed while it swapped has left an environment aside: put it back.
mend() {
  local old env
  rm -f "$VENVS/.new.log."*
  for old in "$VENVS/.old."*; do
    [[ -e "$old" ]] || continue
    env="${old#"$VENVS/.old."}"
    env="${env%.*}"
    if [[ -e "$VENVS/$env" ]]; then rm -rf "$old"; else mv "$old" "$VENVS/$env"; fi
  done
}

# --- the tools --------------------------------------------------------------------------------------------------------

# Prints version and path of the interpreter. The path is resolved: python3 may be another version tomorrow.
ASK_PYTHON='
import os, platform, sys
if not (3, 10) <= sys.version_info[:2] <= (3, 13): sys.exit(1)
if sys.platform == "darwin" and platform.machine() != "arm64": sys.exit(1)
print(platform.python_version(), os.path.realpath(sys.executable))
'

# fit_python COMMAND : sets PYTHON_PATH and PYTHON_VERSION when it is a Python that the locks are made for.
fit_python() {
  local answer
  answer="$("$1" -I -c "$ASK_PYTHON" 2>/dev/null)" || return 1
  PYTHON_VERSION="${answer%% *}"
  PYTHON_PATH="${answer#* }"
}

find_python() {
  local candidate
  if [[ -n "${PYTHON:-}" ]]; then
    fit_python "$PYTHON" || die 4 "PYTHON=$PYTHON is not a Python 3.10-3.13 (on a Mac: for Apple Silicon)"
    return
  fi
  for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
    if fit_python "$candidate"; then return; fi
  done
  if [[ "$(uname -s)" == Darwin ]]; then
    die 4 "no Python 3.10-3.13 for Apple Silicon found: brew install python@3.12, or set PYTHON=/path/to/it (for Intel Macs PyTorch has no builds)"
  fi
  die 4 "no Python 3.10-3.13 found: install one (Debian, Ubuntu: apt install python3 python3-venv) or set PYTHON=/path/to/it"
}

# at_least VERSION LEAST : compares major and minor.
at_least() {
  local major="${1%%.*}" minor="${1#*.}"
  ((major > ${2%%.*} || (major == ${2%%.*} && ${minor%%.*} >= ${2#*.})))
}

find_uv() {
  local version
  if version="$(uv --version 2>/dev/null)"; then
    version="${version#uv }"
    if at_least "$version" "$UV_LEAST"; then
      UV="$(command -v uv)"
      return
    fi
  fi
  UV="$VENVS/.bootstrap/bin/uv"
  digest_of "$LOCKS/bootstrap.txt"
  if [[ "$(cat "$VENVS/.bootstrap/$STAMP" 2>/dev/null)" != "$digest" ]]; then fetch_uv; fi
}

# With pip in an environment of its own, else (Debian without python3-venv) with the Python's own pip.
fetch_uv() {
  local new="$VENVS/.new..bootstrap.$$" install=(-I -m pip install --quiet --disable-pip-version-check)
  install+=(--require-hashes -r "$LOCKS/bootstrap.txt")
  say "fetching uv with pip: this machine has none, or one older than $UV_LEAST"
  if "$PYTHON_PATH" -I -m venv "$new" >/dev/null 2>&1; then
    supervised uv "" "$new/bin/python" "${install[@]}" || failed "uv" "pip could not fetch it"
  elif "$PYTHON_PATH" -I -m pip --version >/dev/null 2>&1; then
    rm -rf "$new"
    supervised uv "" "$PYTHON_PATH" "${install[@]}" --target "$new" || failed "uv" "pip could not fetch it"
  else
    die 4 "$PYTHON_PATH has neither venv nor pip: install them (Debian, Ubuntu: apt install python3-venv), or uv itself"
  fi
  echo "$digest" >"$new/$STAMP"
  swap .bootstrap
}

# pip_setting NAME : pip's value from its environment variable, else from its files.
pip_setting() {
  local variable section line
  variable="PIP_$(echo "$1" | tr 'a-z-' 'A-Z_')"
  if [[ -n "${!variable:-}" ]]; then
    echo "${!variable}"
    return
  fi
  for section in install global; do
    while IFS= read -r line; do
      case "$line" in "$section.$1="*) ;; *) continue ;; esac
      line="${line#*=?}" # pip prints Python's repr: quoted, \n between several
      line="${line%?}"
      echo "${line//\\n/ }"
      return
    done <<<"$PIP_CONFIG"
  done
}

# hand_over UV_VARIABLE PIP_NAME [SEPARATOR] : pip's setting holds for uv unless uv has its own.
hand_over() {
  local value
  [[ -z "${!1:-}" ]] || return 0
  value="$(pip_setting "$2" | tr -s ' \n' ' ')"
  value="${value# }"
  value="${value% }"
  [[ -n "$value" ]] || return 0
  export "$1=${value// /${3:- }}"
}

honour_pip_settings() {
  PIP_CONFIG="$("$PYTHON_PATH" -I -m pip config list 2>/dev/null || true)"
  hand_over UV_DEFAULT_INDEX index-url
  hand_over UV_EXTRA_INDEX_URL extra-index-url
  hand_over UV_FIND_LINKS find-links ,
  case "$(pip_setting no-index)" in 1 | true | True | yes | on) INDEX_OPTIONS+=(--no-index) ;; esac
  hand_over UV_INSECURE_HOST trusted-host
  hand_over UV_HTTP_TIMEOUT timeout
  hand_over UV_HTTP_TIMEOUT default-timeout
  hand_over SSL_CERT_FILE cert
  hand_over SSL_CLIENT_CERT client-cert
  hand_over ALL_PROXY proxy
  if [[ -n "${REQUESTS_CA_BUNDLE:-${CURL_CA_BUNDLE:-}}" ]]; then # pip heeds these too
    export SSL_CERT_FILE="${SSL_CERT_FILE:-${REQUESTS_CA_BUNDLE:-$CURL_CA_BUNDLE}}"
  fi
  # pip trusts the system's certificates, and has no order among indexes; each file is checked against the lock's hashes
  # wherever it comes from.
  if [[ "$(uname -s)" == Darwin || -e /etc/ssl/certs/ca-certificates.crt || -e /etc/pki/tls/cert.pem ]]; then
    export UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}"
  fi
  export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
  unset UV_TORCH_BACKEND UV_REQUIRE_HASHES # TORCH_BACKEND is the one; shared/ has no hash
}

device_of() { df -P "$1" | awk 'NR == 2 { print $1 }'; }

# Ten environments share their files with uv's cache, which needs both on one filesystem.
place_cache() {
  local cache
  case "$(uname -s)" in Darwin) export UV_LINK_MODE="${UV_LINK_MODE:-clone}" ;; *) export UV_LINK_MODE="${UV_LINK_MODE:-hardlink}" ;; esac
  [[ -z "${UV_CACHE_DIR:-}" ]] || return 0
  cache="$("$UV" cache dir 2>/dev/null || true)"
  if [[ -n "$cache" ]] && mkdir -p "$cache" 2>/dev/null && [[ -w "$cache" && "$(device_of "$cache")" == "$(device_of "$VENVS")" ]]; then
    return
  fi
  export UV_CACHE_DIR="$VENVS/.cache"
}

# --- torch ------------------------------------------------------------------------------------------------------------

# Decide, once and only when an environment has torch, where it comes from: sets TORCH to cpu or pypi.
choose_torch() {
  [[ -z "$TORCH" ]] || return 0
  TORCH="$TORCH_BACKEND"
  [[ "$TORCH" == auto ]] || return 0
  TORCH=pypi
  if [[ "$(uname -s)-$(uname -m)" == Linux-x86_64 ]] && ! has_nvidia_gpu; then
    if pytorch_index_answers; then
      TORCH=cpu
    else
      say "no GPU here, but PyTorch's own index does not answer: taking the default index's torch, with CUDA libraries"
    fi
  fi
}

pytorch_index_answers() {
  UV_HTTP_TIMEOUT=5 UV_HTTP_RETRIES=0 supervised "PyTorch's index" /dev/null "$UV" --project "$SHARED" pip install --quiet --dry-run --no-deps \
    --python "$PYTHON_PATH" --target "$VENVS/.new.probe.$$" --torch-backend cpu -r "$LOCKS/torch-cpu.txt"
}

# cpu_lock LOCK : the lock with PyTorch's CPU builds for what it has of torch and without the CUDA libraries.
cpu_lock() {
  awk '/^[a-z]/ { drop = /^(torch|torchaudio|torchvision|triton)==/ || /^nvidia-/ } !drop' "$1"
  awk '/^[a-z]/ { name = $1; sub(/==.*/, "", name) } NR == FNR { has[name]; next } name in has' "$1" "$LOCKS/torch-cpu.txt"
}

# --- building ---------------------------------------------------------------------------------------------------------

free_mb() { df -Pk "$VENVS" | awk 'NR == 2 { print int($4 / 1024) }'; }

# require_space ENV TORCH : refuse what cannot fit, before anything is fetched. The first environment with a torch takes most;
# the next ones share its files.
require_space() {
  local needed_mb=500 other shared=no
  if [[ -n "$2" ]]; then
    for other in "$VENVS"/*/"$STAMP"; do
      if [[ -e "$other" ]] && grep -q "^torch=$2$" "$other"; then shared=yes; fi
    done
    if [[ "$shared" == no ]]; then
      needed_mb=2500
      if [[ "$2-$(uname -s)" == pypi-Linux ]]; then needed_mb=8000; fi # with CUDA's libraries
    fi
  fi
  (($(free_mb) >= needed_mb)) || die 5 "$1 takes about $needed_mb MB and $(free_mb) MB are free in $VENVS: make room, then run it again"
}

# failed ENV REASON : say what still works and what to do, then end.
failed() {
  local kept="there was none before" code=6
  if [[ -x "$VENVS/$1/bin/python" ]]; then kept="the previous one is untouched"; fi
  say "$1 could not be built: $2; $kept"
  if grep -qiE 'no space left|os error 28|disk quota' "$LOG" 2>/dev/null || (($(free_mb) < 500)); then
    code=5
    say "remedy: $(free_mb) MB are free in $VENVS; make room (all environments take about 8 GB), then run it again"
  else
    say "remedy: see the message above; check the network and pip's index settings, then run: native/setup_venvs.sh $1"
  fi
  exit "$code"
}

# quiet_uv ENV ARGUMENT... : with the settings of shared/, whatever folder this is called from. What it says is kept, to
# tell a full disk from the rest.
quiet_uv() {
  local env="$1" status=0
  shift
  supervised "$env" "$LOG" "$UV" --quiet --project "$SHARED" "$@" || status=$?
  cat "$LOG" >&2
  return "$status"
}

# uv_with_bar ENV ARGUMENT... : the same, with uv's progress bar where stderr is a terminal.
uv_with_bar() {
  local env="$1"
  if [[ -t 2 ]]; then
    shift
    supervised "$env" "" "$UV" --project "$SHARED" "$@"
  else
    quiet_uv "$@"
  fi
}

# Renames are made under the lock that runs hold on what they use (reelscribe.environments), with nothing but the standard
# library: macOS has no flock(1).
SWAP='
import fcntl, os, sys
env, lock, new, path, old = sys.argv[1:]
with open(os.open(lock, os.O_RDWR | os.O_CREAT, 0o666), "rb") as f:
    try:
        fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.stderr.write("setup_venvs: %s: built, and waiting until no stage that uses the old one is at work\n" % env)
        fcntl.flock(f, fcntl.LOCK_EX)
    if os.path.lexists(path): os.rename(path, old)
    os.rename(new, path)
'

# swap ENV : what was built takes the place of what was there, once no run works in that.
swap() {
  local old="$VENVS/.old.$1.$$"
  supervised "$1" "" "$PYTHON_PATH" -I -c "$SWAP" "$1" "$VENVS/.lock.$1" "$VENVS/.new.$1.$$" "$VENVS/$1" "$old" ||
    failed "$1" "it could not be put in its place"
  rm -rf "$old"
}

build() {
  local env="$1" new="$VENVS/.new.$1.$$" lock="$LOCKS/$1.txt" torch="" started=$SECONDS options=(--require-hashes)
  say "$env: building, because $why"
  rm -rf "$VENVS/.new.$env."*
  quiet_uv "$env" venv --no-project --relocatable --python "$PYTHON_PATH" --prompt "$env" "$new" || failed "$env" "no venv"
  if grep -q '^torch==' "$lock"; then
    choose_torch
    torch="$TORCH"
  fi
  require_space "$env" "$torch"
  if [[ "$torch" == cpu ]]; then
    cpu_lock "$lock" >"$new/lock.txt"
    lock="$new/lock.txt"
    options=(--torch-backend cpu)
  fi
  options+=(${INDEX_OPTIONS[@]+"${INDEX_OPTIONS[@]}"} --python "$new/bin/python")
  uv_with_bar "$env" pip sync "${options[@]}" "$lock" || failed "$env" "its packages could not be installed"
  quiet_uv "$env" pip install --python "$new/bin/python" --offline --no-deps --editable "$SHARED" ||
    failed "$env" "reelscribe itself could not be installed"
  {
    digest_of "$LOCKS/$env.txt"
    echo "lock=$digest"
    digest_of "$SHARED/pyproject.toml"
    echo "shared=$digest"
    echo "python=$PYTHON_VERSION"
    echo "torch=$torch"
    if [[ "$torch" == cpu ]]; then
      digest_of "$LOCKS/torch-cpu.txt"
      echo "torch-cpu=$digest"
    fi
  } >"$new/$STAMP"
  swap "$env"
  say "$env: ready after $((SECONDS - started)) s"
}

build_all() {
  local env
  mkdir -p "$VENVS"
  ME="$(uname -n):$$"
  LOG="$VENVS/.new.log.$$"
  trap clean_up EXIT
  trap 'interrupted 130' INT
  trap 'interrupted 143' TERM
  trap 'interrupted 129' HUP
  take_turn
  mend
  find_python
  find_uv
  honour_pip_settings
  place_cache
  for env in "$@"; do
    why_build "$env"
    if [[ -n "$why" ]]; then build "$env"; fi
  done
}

# --- the command line -------------------------------------------------------------------------------------------------

list() {
  local env
  for env in "$@"; do
    why_build "$env"
    echo "$env: ${why:-current}"
  done
}

check() {
  local env stale=0
  for env in "$@"; do
    why_build "$env"
    if [[ -n "$why" ]]; then
      echo "$env: $why"
      stale=4
    fi
  done
  return "$stale"
}

main() {
  local mode=build env known wanted=() stale=()
  FORCE=no WATCH=$$ UV="" TORCH="" INDEX_OPTIONS=() SUPERVISOR="" ME="" LOG="" PYTHON_PATH="" PYTHON_VERSION="" WANTED_PYTHON=""
  TORCH_BACKEND="${TORCH_BACKEND:-auto}"
  case "$TORCH_BACKEND" in auto | cpu | pypi) ;; *) die 2 "TORCH_BACKEND=$TORCH_BACKEND: it is auto, cpu or pypi" ;; esac
  known=" $(all_environments | tr '\n' ' ')"
  while (($#)); do
    case "$1" in
      -h | --help)
        usage
        return
        ;;
      --list) mode=list ;;
      --check) mode=check ;;
      --force) FORCE=yes ;;
      --watch)
        (($# > 1)) || die 2 "--watch needs a process id"
        WATCH="$2"
        shift
        ;;
      -*) die 2 "unknown option $1 (see --help)" ;;
      *)
        case "$known" in *" $1 "*) wanted+=("$1") ;; *) die 2 "no environment named '$1'; there are:$known" ;; esac
        ;;
    esac
    shift
  done
  if ((${#wanted[@]} == 0)); then
    if [[ "$mode" == list ]]; then known="$(all_environments)"; else known="$(default_environments)"; fi
    for env in $known; do wanted+=("$env"); done
  fi
  read_digests
  if [[ -n "${PYTHON:-}" ]]; then
    find_python
    WANTED_PYTHON="$PYTHON_VERSION"
  fi
  if [[ "$mode" != build ]]; then
    "$mode" "${wanted[@]}"
    return
  fi
  for env in "${wanted[@]}"; do
    why_build "$env"
    if [[ -n "$why" ]]; then stale+=("$env"); fi
  done
  if ((${#stale[@]})); then build_all "${stale[@]}"; fi
}

main "$@"
