#!/usr/bin/env bats
# What native/requirements promises. That the locks are what their .in give, and that they resolve on every Python and
# machine, is native/requirements/lock.sh --check: it asks the index, and takes minutes.

bats_require_minimum_version 1.5.0

setup() {
  cd "$BATS_TEST_DIRNAME/../../native/requirements" || exit
  LOCKS=(*.txt)
}

# The environments: every .in but those that are parts of others, or of the bootstrap.
environments() {
  local file
  for file in *.in; do
    case "$file" in bootstrap.in | constraints.in | torch.in) ;; *) echo "${file%.in}" ;; esac
  done
}

# nothing_in PATTERN FILE... : no line matches; those that do are printed.
nothing_in() { ! grep -nHE "$@"; }

@test "every environment of the stage table, core and dev is locked, and no other" {
  diff <(../setup_venvs.sh --list | sed 's/:.*//' | sort) <(environments | sort)
  local env
  for env in $(environments); do test -s "$env.txt"; done
}

@test "locks name no index, no place on a machine and no file or repository instead of a version" {
  nothing_in '(://|--(extra-)?index|--find-links|file:|^-e| @ |/home/|/Users/)' "${LOCKS[@]}"
}

@test "every package is pinned and hashed; PyTorch's CPU builds alone are only pinned" {
  local env
  for env in bootstrap $(environments); do
    awk -v lock="$env.txt" '
      /^[a-z0-9]/ { if (package && !hashes) bad = bad package " "; package = $1; hashes = 0; if ($1 !~ /==/) bad = bad $1 " " }
      /^    --hash=sha256:[0-9a-f]+/ { hashes++ }
      END { if (!hashes) bad = bad package; if (bad) { print lock ": no pin or no hash: " bad; exit 1 } }' "$env.txt"
  done
  run -1 grep -vE '^#|^[a-z]+==[0-9.]+\+cpu$' torch-cpu.txt
}

@test "a package has one version wherever it is used: every lock is within constraints.txt" {
  local env
  grep -oE '^[a-z0-9][^ ;]*==[^ ;]+' constraints.txt | sort >"$BATS_TEST_TMPDIR/allowed"
  # One entry a package; pocketsphinx has two, for want of builds.
  [ "$(sed 's/==.*//' "$BATS_TEST_TMPDIR/allowed" | uniq -d)" = pocketsphinx ]
  for env in $(environments); do
    run -0 comm -23 <(grep -oE '^[a-z0-9][^ ;]*==[^ ;]+' "$env.txt" | sort) "$BATS_TEST_TMPDIR/allowed"
    [ -z "$output" ] || fail_with "$env.txt has what constraints.txt has not: $output"
  done
}

fail_with() {
  echo "$1" >&2
  return 1
}

@test "torch is in no lock that can do without, and its CPU builds are of the locked versions" {
  local env package version
  for env in $(environments); do
    case "$env" in pyannote-vad | diarization | asr | bench) grep -q '^torch==' "$env.txt" ;; *) nothing_in '^(torch|nvidia-)' "$env.txt" ;; esac
  done
  for package in torch torchaudio torchvision; do
    version="$(sed -n "s/^$package==\([0-9.]*\).*/\1/p" constraints.txt)"
    grep -qx "$package==$version+cpu" torch-cpu.txt
  done
}

@test "every bound has its reason, behind it or on the line above" {
  # shellcheck disable=SC2016 # awk's fields
  run -0 awk '
    /^#/ { reason = 1; next }
    { requirement = $0; sub(/[;#].*/, "", requirement) }
    requirement ~ /[<>=]/ && !/#/ && !reason { print FILENAME ": " $0 }
    requirement !~ /[<>=]/ { reason = 0 }' ./*.in overrides.txt
  [ -z "$output" ] || fail_with "$output"
}
