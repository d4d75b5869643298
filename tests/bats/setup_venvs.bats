#!/usr/bin/env bats
# native/setup_venvs.sh in a small checkout with packages of its own: no network, a second for a build.

load setup_venvs_tree

bats_require_minimum_version 1.5.0

setup_file() { make_checkout; }
setup() { make_tree; }

@test "--help prints the header, an unknown option or environment is a usage error that says what there is" {
  run -0 set_up --help
  [[ "$output" == "Build the Python environments"*"usage: native/setup_venvs.sh"*"Exit codes:"* ]]
  run -2 set_up --frce
  [[ "$output" == *"--frce"* ]]
  run -2 set_up asrr
  [[ "$output" == *"'asrr'"*"core demux asr asr-mlx dev bench workflow"* ]]
}

@test "builds what is missing and says so, on stderr alone; the environment works where it stands" {
  run -0 --separate-stderr set_up core
  [ -z "$output" ]
  [[ "$stderr" == *"core: building, because it is missing"*"core: ready after"* ]]
  [ "$(version_in core apple)" = 1.0 ]
  [ "$("$TREE/native/venvs/core/bin/apple")" = 1.0 ] # its scripts know their Python after the move, too
  [ "$(version_in core reelscribe)" = here ]
  [ -z "$(leftovers)" ]
}

@test "reelscribe is installed editable: a change in shared/ needs no set-up" {
  set_up core
  echo '__version__ = "changed"' >"$TREE/shared/src/reelscribe/__init__.py"
  [ "$(version_in core reelscribe)" = changed ]
  run -0 set_up --check core
}

@test "without arguments: core and the stages, MLX on Apple Silicon only, not what is for tests" {
  run -4 set_up --check
  [ "${#lines[@]}" -eq 3 ]
  [[ "$output" == "core: it is missing"*"demux: it is missing"*"asr: it is missing"* ]]
  stand_in uname <<'UNAME'
case "$1" in -s) echo Darwin ;; -m) echo arm64 ;; *) echo a-mac ;; esac
UNAME
  run -4 set_up --check
  [[ "$output" == *"asr-mlx: it is missing"* && "$output" != *"dev:"* ]]
  run -0 set_up --list
  [[ "$output" == *"dev: it is missing"* ]]
}

@test "does nothing when all is current: silent, no Python and no uv started" {
  set_up core demux
  stand_in uv <<'TOOL'
echo "$0 $*" >>"$NOTES/started"
TOOL
  cp "$TOOLS/uv" "$TOOLS/python3.new"
  mv "$TOOLS/python3.new" "$TOOLS/python3"
  run -0 set_up core demux
  [ -z "$output" ]
  [ ! -e "$BATS_TEST_TMPDIR/started" ]
}

@test "the folder it is called from, its uv settings and its Python files, do not matter" {
  local name
  mkdir "$BATS_TEST_TMPDIR/elsewhere"
  echo 'no-such-setting = 1' >"$BATS_TEST_TMPDIR/elsewhere/uv.toml"
  for name in platform fcntl runpy pip venv; do
    echo "open('$BATS_TEST_TMPDIR/ran-$name', 'w')" >"$BATS_TEST_TMPDIR/elsewhere/$name.py"
  done
  cd "$BATS_TEST_TMPDIR/elsewhere"
  run -0 set_up core
  [ -z "$(compgen -G "$BATS_TEST_TMPDIR/ran-*")" ]
}

@test "a changed lock rebuilds that environment and no other" {
  set_up core demux
  lock demux apple 2.0
  run -0 set_up core demux
  [[ "$output" == *"demux: building, because its lock changed"* && "$output" != *"core:"* ]]
  [ "$(version_in demux apple)" = 2.0 ]
  [ "$(version_in core apple)" = 1.0 ]
}

@test "rebuilds when shared/pyproject.toml changed, another Python is asked for, its Python is gone, or by force" {
  set_up core
  echo '# a note' >>"$TREE/shared/pyproject.toml"
  run -0 set_up core
  [[ "$output" == *"because shared/pyproject.toml changed"* ]]

  sed 's/^python=.*/python=3.9.1/' "$TREE/native/venvs/core/reelscribe.stamp" >"$BATS_TEST_TMPDIR/stamp"
  cp "$BATS_TEST_TMPDIR/stamp" "$TREE/native/venvs/core/reelscribe.stamp"
  run -0 set_up core # nobody asked: it stays
  [ -z "$output" ]
  PYTHON=python3 run -0 set_up core
  [[ "$output" == *"because it has Python 3.9.1, not 3.1"* ]]

  ln -sfn /nowhere/python3 "$TREE/native/venvs/core/bin/python"
  run -0 set_up core
  [[ "$output" == *"because its Python is gone"* ]]

  run -0 set_up --force core
  [[ "$output" == *"because of --force"* ]]
  [ "$(version_in core apple)" = 1.0 ]
}

@test "a failed install keeps the previous environment, and names it, the remedy and exit code 6" {
  set_up core
  # A file that is not what the lock says.
  lock core apple 2.0
  make_wheel apple 2.0 tampered with
  run -6 set_up core
  [[ "$output" == *"core could not be built"*"previous one is untouched"* ]]
  [[ "$output" == *"remedy:"*"native/setup_venvs.sh core"* ]]
  [ "$(version_in core apple)" = 1.0 ]
  [ -z "$(leftovers)" ]
  # Nor is a package without a hash taken.
  echo apple==2.0 >"$TREE/native/requirements/core.txt"
  run -6 set_up core
  [ "$(version_in core apple)" = 1.0 ]
  # And the next one succeeds when the cause is gone.
  lock core apple 2.0
  run -0 set_up core
  [[ "$output" == *"because its lock changed"* ]]
  [ "$(version_in core apple)" = 2.0 ]
}

@test "a full disk is exit code 5 and says what to do" {
  stand_in uv <<'UV'
case " $* " in *" sync "*) echo "error: failed to write: No space left on device (os error 28)" >&2; exit 2 ;; esac
exec "$REAL_UV" "$@"
UV
  run -5 set_up core
  [[ "$output" == *"make room"* ]]
}

@test "too little room: refused with exit code 5 before anything is fetched; the first torch takes most of it" {
  stand_in df <<<'printf "head\ndisk 0 0 3072000 0%% /\n"'
  stand_in uv <<'UV'
case " $* " in *" sync "*) echo sync >>"$NOTES/syncs" ;; esac
exec "$REAL_UV" "$@"
UV
  TORCH_BACKEND=pypi run -5 set_up asr
  [[ "$output" == *"asr takes about 8000 MB and 3000 MB are free"* ]]
  [ ! -e "$BATS_TEST_TMPDIR/syncs" ]
  [ -z "$(leftovers)" ]
  run -0 set_up core
  stand_in df <<<'printf "head\ndisk 0 0 409600 0%% /\n"'
  run -5 set_up demux
  [[ "$output" == *"demux takes about 500 MB and 400 MB are free"* ]]
}

@test "TERM: stops at once, ends uv, leaves nothing, the previous environment works" {
  set_up core
  lock core apple 2.0
  hang_uv
  set_up_aside core
  wait_for test -s "$BATS_TEST_TMPDIR/hanging"
  kill -TERM "$ASIDE"
  ended_with 143 "$ASIDE"
  wait_for gone "$(cat "$BATS_TEST_TMPDIR/hanging")"
  grep -q "interrupted" "$BATS_TEST_TMPDIR/talk"
  [ -z "$(leftovers)" ]
  [ "$(version_in core apple)" = 1.0 ]
}

@test "Ctrl-C: exit code 130, ends uv, leaves nothing" {
  hang_uv
  # A terminal sends INT to the whole group. The background jobs of a script ignore it, hence the detour.
  python3 - "$TREE/native/setup_venvs.sh" "$BATS_TEST_TMPDIR" <<'PYTHON'
import os, pathlib, signal, subprocess, sys, time
script, notes = sys.argv[1], pathlib.Path(sys.argv[2])
process = subprocess.Popen(
    [script, "core"], start_new_session=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
)
for _ in range(200):
    if (notes / "hanging").exists():
        break
    time.sleep(0.1)
os.killpg(process.pid, signal.SIGINT)
sys.exit(process.wait(timeout=20) != 130)
PYTHON
  wait_for gone "$(cat "$BATS_TEST_TMPDIR/hanging")"
  [ -z "$(leftovers)" ]
}

@test "SIGKILL: uv ends too, the previous environment works, the next set-up recovers and tidies" {
  set_up core
  lock core apple 2.0
  lock demux apple 2.0
  hang_uv
  set_up_aside --watch "$$" demux core
  wait_for test -s "$BATS_TEST_TMPDIR/hanging"
  kill -KILL "$ASIDE"
  ended_with 137 "$ASIDE"
  wait_for gone "$(cat "$BATS_TEST_TMPDIR/hanging")"
  [ "$(version_in core apple)" = 1.0 ]
  [ -n "$(leftovers)" ]

  ln -sf "$REAL_UV" "$TOOLS/uv"
  run -0 set_up core demux
  [[ "$output" == *"demux: building, because its last set-up was interrupted"* ]]
  [ "$(version_in demux apple)" = 2.0 ]
  [ "$(version_in core apple)" = 2.0 ]
  [ -z "$(leftovers)" ]
}

@test "killed between the two renames of a swap: the previous environment is put back" {
  set_up core
  mv "$TREE/native/venvs/core" "$TREE/native/venvs/.old.core.99999"
  run -0 set_up core
  [ "$(version_in core apple)" = 1.0 ]
  [[ "$output" != *"building"* ]]
  [ -z "$(leftovers)" ]
}

@test "--watch: gives up when the process that started it is gone" {
  hang_uv
  sleep 300 3>&- &
  local watched=$!
  set_up_aside --watch "$watched" core
  wait_for test -s "$BATS_TEST_TMPDIR/hanging"
  kill -KILL "$watched"
  ended_with 130 "$ASIDE"
  wait_for gone "$(cat "$BATS_TEST_TMPDIR/hanging")"
  [ -z "$(leftovers)" ]
}

@test "two at once: one builds, the other waits and finds it done" {
  stand_in uv <<'UV'
case " $* " in *" sync "*) echo sync >>"$NOTES/syncs"; sleep 2 ;; esac
exec "$REAL_UV" "$@"
UV
  set_up_aside core
  wait_for test -L "$TREE/native/venvs/.busy"
  run -0 set_up core
  ended_with 0 "$ASIDE"
  [[ "$output" == *"waiting for another set-up"* ]]
  [ "$(cat "$BATS_TEST_TMPDIR/syncs")" = sync ]
  [ "$(version_in core apple)" = 1.0 ]
  [ -z "$(leftovers)" ]
}

@test "an environment is not replaced under a stage that works in it: built, said, and swapped at the stage's end" {
  set_up core
  python3 -c 'import fcntl, sys, time
f = open(sys.argv[1])
fcntl.flock(f, fcntl.LOCK_SH)
open(sys.argv[2], "w").close()
time.sleep(300)' "$TREE/native/venvs/.lock.core" "$BATS_TEST_TMPDIR/held" 3>&- &
  local stage=$!
  wait_for test -e "$BATS_TEST_TMPDIR/held"
  lock core apple 2.0
  set_up_aside core
  wait_for grep -q "core: built, and waiting until no stage" "$BATS_TEST_TMPDIR/talk"
  [ "$(version_in core apple)" = 1.0 ]
  kill "$stage"
  ended_with 0 "$ASIDE"
  [ "$(version_in core apple)" = 2.0 ]
  [ -z "$(leftovers)" ]
}

@test "the turn of a process that is no set-up any more is taken; that of another host is respected" {
  mkdir -p "$TREE/native/venvs"
  ln -s "$(uname -n):$$" "$TREE/native/venvs/.busy" # alive, but bats
  run -0 set_up core
  [ "$(version_in core apple)" = 1.0 ]

  ln -s "another-host:1" "$TREE/native/venvs/.busy"
  set_up_aside demux
  wait_for grep -q "waiting for another set-up (another-host:1" "$BATS_TEST_TMPDIR/talk"
  rm "$TREE/native/venvs/.busy"
  ended_with 0 "$ASIDE"
  [ "$(version_in demux apple)" = 1.0 ]
}

@test "a folder that takes no lock is an error, not an endless wait" {
  stand_in ln <<<'exit 1'
  run -6 set_up core
  [[ "$output" == *"cannot be made"* ]]
}

@test "no uv on the machine: fetched with pip, hash-locked, once" {
  make_wheel uv 99.0 uv "#!/bin/sh
exec '$REAL_UV' \"\$@\"
"
  lock bootstrap uv 99.0
  rm "$TOOLS/uv"
  PATH="$TOOLS:/usr/bin:/bin" run -0 set_up core
  [[ "$output" == *"fetching uv with pip"* ]]
  [ "$(version_in core apple)" = 1.0 ]
  PATH="$TOOLS:/usr/bin:/bin" run -0 set_up demux
  [[ "$output" != *"fetching uv"* ]]
}

@test "a uv that is too old is passed over" {
  stand_in uv <<<'echo "uv 0.4.30"'
  make_wheel uv 99.0 uv "#!/bin/sh
exec '$REAL_UV' \"\$@\"
"
  lock bootstrap uv 99.0
  run -0 set_up core
  [[ "$output" == *"fetching uv with pip"* ]]
}

@test "no fit Python: exit code 4 and what to install" {
  stand_in python3 <<<'exit 1'
  local version
  for version in 13 12 11 10; do cp "$TOOLS/python3" "$TOOLS/python3.$version"; done
  run -4 set_up core
  [[ "$output" == *"no Python 3.10-3.13 "*"found: "*"PYTHON="* ]]
  PYTHON=/nowhere/python run -4 set_up core
  [[ "$output" == *"/nowhere/python"* ]]
}

@test "pip's settings hold from its file, and uv's own come first" {
  unset PIP_FIND_LINKS PIP_NO_INDEX
  export PIP_CONFIG_FILE="$BATS_TEST_TMPDIR/pip.conf"
  printf '[global]\nno-index = true\nfind-links =\n  /nowhere\n  %s\ncert = %s\n[install]\ntimeout = 77\n' "$WHEELS" /some/ca.pem >"$PIP_CONFIG_FILE"
  unset SSL_CERT_FILE PIP_CERT PIP_DEFAULT_TIMEOUT PIP_TIMEOUT
  stand_in uv <<'UV'
echo "$UV_FIND_LINKS $SSL_CERT_FILE $UV_HTTP_TIMEOUT $*" >>"$NOTES/calls"
unset SSL_CERT_FILE # there is none
exec "$REAL_UV" "$@"
UV
  run set_up core
  grep -q "^/nowhere,$WHEELS /some/ca.pem 77 .*sync.*--no-index" "$BATS_TEST_TMPDIR/calls"

  UV_FIND_LINKS="$WHEELS" UV_HTTP_TIMEOUT=5 run -0 set_up --force core
  grep -q "^$WHEELS /some/ca.pem 5 .*sync" "$BATS_TEST_TMPDIR/calls"
}

@test "torch: PyTorch's CPU build where its index answers, else the default index's; never when told otherwise" {
  # Stands for PyTorch's index: answers the probe when told so, and notes what the install asks for.
  stand_in uv <<'UV'
case " $* " in
  *" --dry-run "*) [ -e "$NOTES/answers" ] && exit 0 || exit 2 ;;
  *" sync "*"--torch-backend cpu"*) cp "${!#}" "$NOTES/asked"; exec "$REAL_UV" --version ;;
esac
exec "$REAL_UV" "$@"
UV
  stand_in uname <<'UNAME'
case "$1" in -s) echo Linux ;; -m) echo x86_64 ;; *) echo a-host ;; esac
UNAME
  printf 'nvidia-cublas==1.0 \\\n    --hash=sha256:00\nzebra==1.0 \\\n    --hash=sha256:11\n' >>"$TREE/native/requirements/asr.txt"

  touch "$BATS_TEST_TMPDIR/answers"
  TORCH_BACKEND=auto run -0 set_up asr
  diff - "$BATS_TEST_TMPDIR/asked" <<'LOCK'
zebra==1.0 \
    --hash=sha256:11
torch==2.8.0+cpu
LOCK
  run -0 set_up --check asr
  TORCH_BACKEND=pypi run -4 set_up --check asr
  [[ "$output" == "asr: it has the cpu build of torch, not the pypi one" ]]
  echo '# later' >>"$TREE/native/requirements/torch-cpu.txt"
  run -4 set_up --check asr
  [[ "$output" == "asr: its lock changed" ]]

  rm "$BATS_TEST_TMPDIR/answers" "$BATS_TEST_TMPDIR/asked"
  lock asr torch 2.8.0
  run -0 set_up asr
  [[ "$output" == *"does not answer"* ]]
  [ ! -e "$BATS_TEST_TMPDIR/asked" ]
  [ "$(version_in asr torch)" = 2.8.0 ]
}
