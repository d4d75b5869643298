# A small checkout to set environments up in: three environments, two one-line packages, no network.
# pip's own settings (PIP_FIND_LINKS, PIP_NO_INDEX) say where the packages are, so every test shows that they are heeded.

# make_checkout : once for a file, what every test gets a copy of.
make_checkout() {
  local here="$BATS_TEST_DIRNAME/../.."
  TREE="$BATS_FILE_TMPDIR/tree" WHEELS="$BATS_FILE_TMPDIR/wheels"
  mkdir -p "$TREE/native/requirements" "$TREE/shared/src/reelscribe" "$WHEELS"
  cp "$here/native/setup_venvs.sh" "$TREE/native/"
  cp "$here/shared/pyproject.toml" "$TREE/shared/"
  echo '__version__ = "here"' >"$TREE/shared/src/reelscribe/__init__.py"
  printf '%s\n' '# nr stage envs devices' '' '01 demux demux -' '07 asr asr,asr-mlx cpu' >"$TREE/native/stages.txt"
  make_wheel apple 1.0 apple $'#!python\nimport apple\nprint(apple.__version__)\n'
  make_wheel apple 2.0
  make_wheel torch 2.8.0
  lock core apple 1.0
  lock asr torch 2.8.0
  local env
  for env in demux asr-mlx dev bench workflow; do cp "$TREE/native/requirements/core.txt" "$TREE/native/requirements/$env.txt"; done
  echo 'torch==2.8.0+cpu' >"$TREE/native/requirements/torch-cpu.txt"
  : >"$TREE/native/requirements/bootstrap.txt"
}

# make_tree : sets TREE, WHEELS and TOOLS (a folder in front of PATH, for stand-ins), and forgets this machine's settings.
make_tree() {
  TREE="$BATS_TEST_TMPDIR/it's a tree" # the name is part of the test
  WHEELS="$BATS_TEST_TMPDIR/wheels"
  TOOLS="$BATS_TEST_TMPDIR/tools"
  cp -R "$BATS_FILE_TMPDIR/tree" "$TREE"
  cp -R "$BATS_FILE_TMPDIR/wheels" "$WHEELS"
  mkdir "$TOOLS"
  unset PYTHON TORCH_BACKEND UV_CACHE_DIR UV_DEFAULT_INDEX UV_INDEX UV_FIND_LINKS UV_LINK_MODE PIP_INDEX_URL PIP_EXTRA_INDEX_URL
  export PIP_CONFIG_FILE=/dev/null PIP_FIND_LINKS="$WHEELS" PIP_NO_INDEX=1
  # The tools themselves, not a version manager's shims in front of them: those put their own folder first on PATH.
  REAL_UV="$(command -v uv || echo "$BATS_TEST_DIRNAME/../../native/venvs/.bootstrap/bin/uv")"
  ln -s "$REAL_UV" "$TOOLS/uv"
  ln -s "$(python3 -c 'import os, sys; print(os.path.realpath(sys.executable))')" "$TOOLS/python3"
  PATH="$TOOLS:$PATH"
}

# make_wheel NAME VERSION [SCRIPT CONTENT] : a package of one module that knows its version, and a script in bin.
make_wheel() {
  python3 - "$WHEELS" "$@" <<'PYTHON'
import sys, zipfile
folder, name, version, *extra = sys.argv[1:]
info = f"{name}-{version}.dist-info"
files = {
    f"{name}.py": f'__version__ = "{version}"\n',
    f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}
if extra:
    files[f"{name}-{version}.data/scripts/{extra[0]}"] = extra[1]
files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    for path, content in files.items():
        entry = zipfile.ZipInfo(path)
        entry.external_attr = 0o100755 << 16
        wheel.writestr(entry, content)
PYTHON
}

# lock ENV NAME VERSION : the environment's lock holds this package and its hash.
lock() {
  local hash
  hash="$(python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' \
    "$WHEELS/$2-$3-py3-none-any.whl")"
  printf '%s==%s \\\n    --hash=sha256:%s\n' "$2" "$3" "$hash" >"$TREE/native/requirements/$1.txt"
}

set_up() { "$TREE/native/setup_venvs.sh" "$@"; }

# set_up_aside ARGUMENT... : in the background; sets ASIDE to its process id. Its talk goes to $BATS_TEST_TMPDIR/talk.
set_up_aside() {
  "$TREE/native/setup_venvs.sh" "$@" 2>"$BATS_TEST_TMPDIR/talk" 3>&- &
  export ASIDE=$!
}

# ended_with CODE PID : a background process.
ended_with() {
  local code=0
  wait "$2" || code=$?
  [ "$code" -eq "$1" ]
}

# version_in ENV PACKAGE : what the environment's Python imports.
version_in() { "$TREE/native/venvs/$1/bin/python" -c "import $2; print($2.__version__)"; }

# stand_in NAME : a tool in front of PATH; the script comes from stdin. $REAL_UV is the real uv.
stand_in() {
  rm -f "$TOOLS/$1"
  {
    echo '#!/usr/bin/env bash'
    printf 'REAL_UV=%q\nNOTES=%q\n' "$REAL_UV" "$BATS_TEST_TMPDIR"
    cat
  } >"$TOOLS/$1"
  chmod +x "$TOOLS/$1"
}

# A uv that stops for long in the middle of an install, and leaves a note with its process id.
hang_uv() {
  stand_in uv <<'UV'
case " $* " in *" sync "*) echo $$ >"$NOTES/hanging"; exec sleep 300 ;; esac
exec "$REAL_UV" "$@"
UV
}

# wait_for CONDITION... : until it holds, 20 s at most.
wait_for() {
  local tries=0
  until "$@"; do
    tries=$((tries + 1))
    if ((tries > 200)); then
      echo "waited in vain for: $*" >&2
      return 1
    fi
    sleep 0.1
  done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# Temporary folders, locks and moved-aside environments that a set-up must not leave.
leftovers() { find "$TREE/native/venvs" -mindepth 1 -maxdepth 1 \( -name '.new.*' -o -name '.old.*' -o -name .busy \); }
