"""One name opens everything: table, scripts, environments, tests, documents and settings agree; bash stays within 3.2."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from pydantic import BaseModel

from reelscribe import config_file, hub, settings, stage_table, supervise
from reelscribe.manifest import locked_versions
from reelscribe.settings import PIPELINE_ENV, Setting
from reelscribe.stage import FileField, file_fields, load_contract, load_contracts
from reelscribe.stage_table import NATIVE, ROOT, Row

ROWS = stage_table.load()
REQUIREMENTS = NATIVE / "requirements"
ENVIRONMENTS = ["core", "dev", "bench", "workflow", *dict.fromkeys(environment for row in ROWS for environment in row.environments)]
HELPERS = {row.name.replace("-", "_") for row in ROWS}
each_stage = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def tracked() -> list[Path]:
    """Every file that git has or would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [path for name in names if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str | None:
    """The file's text; None when it is binary."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


# -- one name -----------------------------------------------------------------------------------------------------------


def test_the_scripts_are_those_of_the_table() -> None:
    assert sorted(p.name for p in (NATIVE / "stages").glob("*.py")) == [row.script.name for row in ROWS]


def helper_folders() -> set[str]:
    """Folders with a stage's helpers."""
    return {p.name for p in (NATIVE / "stages").iterdir() if p.is_dir() and p.name != "__pycache__"}


def test_helpers_lie_in_folders_called_like_their_stage() -> None:
    assert helper_folders() <= HELPERS


def test_no_helper_folder_hides_a_library() -> None:
    # A script's own folder comes first on sys.path, before everything installed.
    locked = {name.replace("-", "_") for environment in ENVIRONMENTS for name in locked_versions(environment)}
    assert helper_folders() & locked == set()
    assert helper_folders() & sys.stdlib_module_names == set()


@each_stage
def test_the_stage_calls_itself_as_its_row_does(row: Row) -> None:
    stage = load_contract(row)
    assert stage.name == row.name
    assert stage.revision >= 1
    assert (sys.modules[stage.run.__module__].__doc__ or "").strip(), "its docstring is its help"


@each_stage
def test_every_stage_has_a_test(row: Row) -> None:
    path = ROOT / "tests" / "stages" / f"test_{row.name.replace('-', '_')}.py"
    assert "def test_" in path.read_text()
    assert "run_stage" in path.read_text(), "a stage is tested as users run it"


def test_every_test_of_a_stage_has_a_stage() -> None:
    for path in (ROOT / "tests" / "stages").glob("test_*.py"):
        assert any(f"{path.stem}_".startswith(f"test_{name}_") for name in HELPERS), path.name


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment_has_requirements_and_a_lock_with_hashes(environment: str) -> None:
    assert (REQUIREMENTS / f"{environment}.in").read_text().startswith(f"# {environment}: ")
    lock = (REQUIREMENTS / f"{environment}.txt").read_text()
    pinned = re.findall(r"^[A-Za-z0-9._-]+==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[A-Za-z0-9]", lock, re.MULTILINE)) > 0


@pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.in")), ids=lambda path: path.name)
def test_every_pin_has_its_reason(path: Path) -> None:
    lines = path.read_text().splitlines()
    explained = set()
    for before, line in zip(["", *lines], lines, strict=False):
        name = re.split(r"[<>=~!;\[ ]", line)[0]
        if "#" in line or before.startswith("#"):
            explained.add(name)
        if re.search(r"==|~=|<", line.split(";")[0].split("#")[0]):
            assert name in explained, line


def test_what_decides_the_output_of_an_engine_is_in_its_lock() -> None:
    for stage in load_contracts():
        options = stage.options()
        engine = stage.engine(options)
        missing = set(engine.packages) - set(locked_versions(stage.environment(options)))
        assert missing == set(), f"{stage.name}: {engine.name} names packages that its lock has not"


# -- contracts ----------------------------------------------------------------------------------------------------------

LIGHT = ("pydantic", "pydantic_core", "annotated_types", "typing_extensions", "typing_inspection")
BARE = """
import json, sys
sys.path += sys.argv[1:]
from reelscribe.stage import load_contracts
found = {s.name: sorted(s.options.model_fields) for s in load_contracts()}
outside = {n.partition(".")[0] for n in sys.modules if not n.startswith("_sysconfigdata")} - set(sys.stdlib_module_names)
print(json.dumps([found, sorted(outside)]))
"""


def test_every_contract_loads_in_a_bare_interpreter_with_pydantic(tmp_path: Path) -> None:
    for name in LIGHT:
        for path in importlib.metadata.files(name) or []:
            top = Path(str(path)).parts[0]
            if top.removesuffix(".py") == name and not (tmp_path / top).exists():
                (tmp_path / top).symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    command = [sys.executable, "-I", "-S", "-B", "-c", BARE, str(tmp_path), str(ROOT / "shared" / "src")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, outside = json.loads(done.stdout)
    assert list(found) == [row.name for row in ROWS]
    ours = {"reelscribe", *HELPERS, *(f"reelscribe_stage_{row.number:02d}" for row in ROWS), "__main__"}
    assert set(outside) - ours <= set(LIGHT)


def makes(output: FileField, wanted: str) -> bool:
    """Whether files of the declared `output` are those that an input's pattern means."""
    return output.pattern == wanted or fnmatch(output.pattern.replace("{name}", "A_Movie").replace("*", "any"), wanted)


@each_stage
def test_every_input_is_made_by_an_earlier_stage_with_the_same_schema(row: Row) -> None:
    earlier = [f for stage in load_contracts()[: row.number - 1] for f in file_fields(stage.outputs)]
    for file in file_fields(load_contract(row).inputs):
        if file.is_movie:
            continue
        makers = [output for output in earlier if makes(output, file.pattern)]
        assert makers, f"nobody before {row.name} makes {file.pattern}"
        assert {output.schema for output in makers} <= {file.schema}, f"{file.pattern} has two schemas"


def test_no_two_stages_make_the_same_file() -> None:
    patterns = [f.pattern for stage in load_contracts() for f in file_fields(stage.outputs)]
    assert len(patterns) == len(set(patterns))


@each_stage
def test_every_json_file_has_a_schema(row: Row) -> None:
    stage = load_contract(row)
    for file in [*file_fields(stage.inputs), *file_fields(stage.outputs)]:
        if file.pattern.endswith(".json"):
            assert file.schema is not None, file.pattern
            assert issubclass(file.schema, BaseModel)


# -- settings -----------------------------------------------------------------------------------------------------------

# Variables that systems and shells set for purposes of their own: a setting of that name would be set by accident.
TAKEN = re.compile("DISPLAY|EDITOR|HOME|HOST|HOSTNAME|LANG|LANGUAGE|LOGNAME|MAIL|PAGER|PATH|PWD|SHELL|TERM|TMPDIR|TZ|USER|VERSION")


def all_settings() -> list[Setting]:
    """Every declaration of every setting."""
    found = [s for model in (supervise.PipelineOptions, hub.HubOptions) for s in settings.settings_of("pipeline", model)]
    return found + [s for stage in load_contracts() for s in settings.settings_of(stage.name, stage.options)]


def test_a_setting_means_the_same_in_every_stage() -> None:
    seen: dict[str, Setting] = {}
    for setting in all_settings():
        first = seen.setdefault(setting.env, setting)
        same = [(s.field, s.default, s.help, s.unit, s.affects_output) for s in (first, setting)]
        assert same[0] == same[1], f"{setting.env} of {first.stage} and {setting.stage}"


def test_settings_are_well_declared() -> None:
    for setting in all_settings():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]+", setting.env), setting.env
        assert not TAKEN.fullmatch(setting.env), setting.env
        assert re.fullmatch(r"[^\n]+[^.\n]", setting.help), f"{setting.env}: one line without a full stop"
        if setting.secret:
            assert not setting.affects_output, f"{setting.env}: a secret is in no fingerprint"
            assert setting.default is None, f"{setting.env}: a secret has no default"
        if setting.env.endswith(("_S", "_MS", "_MB", "_DAYS")):
            assert setting.unit, f"{setting.env}: its unit is told"


def test_the_settings_file_and_the_table_of_stages_are_what_the_contracts_say() -> None:
    remedy = "native/venvs/dev/bin/python -m reelscribe.config_file --write"
    for path, text in config_file.files().items():
        assert path.exists(), remedy
        assert path.read_text(encoding="utf-8") == text, remedy


def test_the_settings_file_sets_nothing_and_has_every_setting_with_its_default() -> None:
    assert settings.read_env_file(PIPELINE_ENV) == {}
    lines = PIPELINE_ENV.read_text(encoding="utf-8").splitlines()
    for setting in all_settings():
        assert f"#{setting.env}={settings.shown(setting.default)}" in lines
    for number, line in enumerate(lines):
        if re.match(r"#[A-Z0-9_]+=", line):
            assert lines[number - 1].startswith("# "), f"{line} has no explanation"


def test_every_stage_is_documented() -> None:
    text = config_file.DOCUMENT.read_text(encoding="utf-8")
    assert [row.name for row in ROWS] == re.findall(r"^\| \[\d+ ([a-z-]+)\]", text, re.MULTILINE)


def test_changed_values_of_the_settings_file_survive_a_rewrite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / ".env.pipeline"
    monkeypatch.setattr(settings, "PIPELINE_ENV", mine)
    mine.write_text("DEVICE=cpu\nOF_MY_OWN=1\n")
    text = config_file.settings_file()
    assert "#DEVICE=auto\nDEVICE=cpu\n" in text
    assert text.endswith("\nOF_MY_OWN=1\n")
    mine.write_text(text)
    assert config_file.settings_file() == text


# -- Python -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted((NATIVE / "stages").rglob("*.py")), ids=lambda path: str(path.relative_to(NATIVE / "stages")))
def test_stages_declare_options_and_log_talk(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in ("add_argument", "print"), f"{path.name}:{node.lineno}"


@each_stage
def test_a_stage_script_ends_as_every_other(row: Row) -> None:
    assert row.script.read_text().endswith('\n\nif __name__ == "__main__":\n    main(STAGE)\n')


# -- bash ---------------------------------------------------------------------------------------------------------------

# What bash 3.2 (macOS) does not know, and commands that macOS has not.
COMMAND = r"(?:^|[|;&({!`]|\$\(|\b(?:then|do|else|elif|if|while|until|exec|command|env|nice|time)\b)\s*(?:[A-Z_]+=\S*\s+)*"
NOT_IN_3_2 = {
    r"\b(?:mapfile|readarray)\b": "mapfile, readarray (4.0)",
    r"\b(?:declare|local|typeset|readonly|export)\s+-[a-zA-Z]*[Alungc]": "associative arrays, namerefs, -g, -l, -u (4.0 and later)",
    r"\bwait\s+-[nfp]": "wait -n (4.3)",
    r"\bcoproc\b": "coproc (4.0)",
    r"\|&": "|& (4.0)",
    r"&>>": "&>> (4.0)",
    r";;?&": ";& and ;;& (4.0)",
    r"\$\{!?\w+(?:\[[^]]*\])?(?:,|\^)": "${x,,} and ${x^^} (4.0)",
    r"\$\{\w+(?:\[[^]]*\])?@[A-Za-z]\}": "${x@Q} (4.4)",
    r"\$\{\w+(?:\[[^]]*\])?:[^}]*:\s*-\d": "${x:0:-1} (4.2)",
    r"\$\{?\w+\[-\d": "negative subscripts (4.3)",
    r"(?:\[\[|\[|\btest)\s+(?:!\s+)?-v\b": "test -v (4.2)",
    r"\bshopt\s+-s\s+.*\b(?:globstar|lastpipe|inherit_errexit|autocd|dirspell)\b": "shopt globstar, lastpipe (4.0 and later)",
    r"\$\{?(?:BASHPID|EPOCHSECONDS|EPOCHREALTIME|SRANDOM)\b": "BASHPID, EPOCHSECONDS (4.0 and later)",
    r"\bread\b[^|;&]*\s-[a-zA-Z]*[Ni]\b": "read -N, read -i (4.0)",
    r"\bread\b[^|;&]*\s-t\s*\d*\.\d": "read -t with a fraction (4.0)",
    r"\bexec\s+\{\w+\}": "exec {fd}> (4.1)",
    r"\{0\d+\.\.|\{\d+\.\.\d+\.\.": "{01..10} and {1..10..2} (4.0)",
    r"%\([^)]*\)T": "printf %(…)T (4.2)",
    r"\blocal\s+-(?:\s|$)": "local - (4.4)",
    COMMAND + r"(?:timeout|flock|setsid|nproc|tac|realpath|md5sum|sha1sum|sha256sum|stdbuf|shuf|numfmt)\b": "a command that macOS has not",
    r"\breadlink\s+-[a-z]*[fem]": "readlink -f (not on macOS before 12.3)",
    COMMAND + r"sed\s+(?:-\w+\s+)*-i": "sed -i (differs on macOS)",
    COMMAND + r"date\s+(?:-u\s+)?(?:-d|--date)|\bdate\b.*%N": "date -d, %N (not on macOS)",
    COMMAND + r"stat\s+(?:-c|--format|--printf)": "stat -c (not on macOS)",
    r"\bgrep\s+-[a-zA-Z]*P": "grep -P (not on macOS)",
    r"\bsort\s+-[a-zA-Z]*V": "sort -V (not on every macOS)",
    r"\bxargs\s+-[a-zA-Z]*[rd]\b": "xargs -r, -d (not on macOS)",
    r"\bfind\b.*-(?:printf|readable|executable)\b": "find -printf (not on macOS)",
    r"\b(?:head|tail)\s+(?:-n\s*-|-n\s*\+?-|-c\s*-)\d": "head -n -1 (not on macOS)",
    r"\bcp\s+-[a-zA-Z]*[lT]": "cp -l, -T (not on macOS)",
    r"\bln\s+-[a-zA-Z]*[Tr]": "ln -T, -r (not on macOS)",
    r"\bmktemp\s+(?:-[a-z]+\s+)*--": "mktemp --… (not on macOS)",
}


def too_new(line: str) -> list[str]:
    """What in a line of bash does not work on macOS. Comments do not count."""
    code = re.sub(r"(^|\s)#.*", "", line) if line.count("'") % 2 == 0 else line
    return [why for pattern, why in NOT_IN_3_2.items() if re.search(pattern, code)]


def bash_lines(text: str) -> list[tuple[int, str]]:
    """Numbered lines of a script, without programs for Python that it holds."""
    lines, end = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        if not end:
            lines.append((number, line))
            here = re.search(r"python.*<<-?\s*'(\w+)'", line)
            end = here.group(1) if here else ""
        elif line.strip() == end:
            end = ""
    return lines


def shell_scripts() -> list[Path]:
    """Every bash script of the project, by suffix or first line."""
    return [p for p in tracked() if p.suffix in (".sh", ".bats") or re.match(r"#!.*\bbash\b", (text_of(p) or "")[:100])]


@pytest.mark.parametrize(
    "line",
    [
        "mapfile -t lines < file",
        "declare -A map",
        "  local -n ref=$1",
        "wait -n",
        "coproc cat",
        "make |& tee log",
        "make &>> log",
        "echo ${name,,}",
        'echo "${names[@]^^}"',
        'echo "${name@Q}"',
        "echo ${name:0:-1}",
        "echo ${names[-1]}",
        "[[ -v name ]]",
        "shopt -s nullglob globstar",
        "kill $BASHPID",
        "read -N 1 key",
        "read -t 0.5 key",
        "exec {lock}> file",
        "for i in {01..10}; do",
        "printf '%(%s)T'",
        "timeout 5 make",
        "if timeout 5 make; then",
        "x=$(nproc)",
        "flock 9",
        'dir=$(readlink -f "$0")',
        "make | tac",
        "LC_ALL=C setsid make",
        "sed -i s/a/b/ file",
        "date -d yesterday",
        "date +%s%N",
        "stat -c %s file",
        "ls | grep -oP x",
        "ls | sort -V",
        "xargs -r rm",
        "find . -printf x",
        "head -n -1 file",
        "cp -al a b",
        "ln -sfT a b",
        "realpath .",
    ],
)
def test_the_scan_finds_what_is_too_new(line: str) -> None:
    assert too_new(line)


@pytest.mark.parametrize(
    "line",
    [
        "# timeout 5 and mapfile are not there",
        "make # wait -n would be",
        "local name=$1",
        "declare -a list",
        "local -r name=$1",
        "wait",
        'wait "$child"',
        "make 2>&1 | tee log",
        "make >log 2>&1",
        'echo "${name:-default}" "${name%%,*}" "${#names[@]}" "${names[@]+x}"',
        "echo ${name: -1}",
        "[[ -x file ]] && [[ -n $name ]]",
        "read -r -d '' name",
        "read -r name",
        "for i in {1..10}; do",
        'say "the timeout is over"',
        "STAGE_TIMEOUT=5",
        "timeout_s=5",
        "--timeout) value=$1 ;;",
        "case $x in a) y ;; esac",
        "readlink file",
        "sed -n 's/a/b/p' file",
        "sort -u",
        "head -n 1",
        "ln -s a b",
        "mktemp -d",
        "cp -R a b",
    ],
)
def test_the_scan_lets_through_what_works(line: str) -> None:
    assert too_new(line) == []


def test_the_scan_leaves_pythons_own_programs_alone() -> None:
    text = "a\npython3 - <<'END'\nwait(timeout=3)\nEND\nb\ncat <<'END'\nc\nEND\n"
    assert [line for _, line in bash_lines(text)] == ["a", "python3 - <<'END'", "b", "cat <<'END'", "c", "END"]


def test_bash_stays_within_3_2() -> None:
    scripts = shell_scripts()
    assert {NATIVE / "pipeline.sh", NATIVE / "setup_venvs.sh", ROOT / "tests" / "run.sh", ROOT / ".ci" / "run"} <= set(scripts)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {why}"
        for path in scripts
        for number, line in bash_lines(text_of(path) or "")
        for why in too_new(line)
    ]
    assert found == []


def test_bash_scripts_are_strict_and_executable() -> None:
    for path in shell_scripts():
        if path.suffix == ".bats":
            continue
        text = path.read_text()
        assert text.startswith("#!/usr/bin/env bash\n"), path
        assert re.search(r"^set -euo pipefail$", text, re.MULTILINE), path
        assert path.stat().st_mode & 0o111, f"{path} is not executable"


# -- what no file may hold ----------------------------------------------------------------------------------------------

# Written so that this file does not hold them.
FOREIGN = {
    r"py[p]i\.org|pythonh[o]sted\.org|download\.pyt[o]rch\.org/whl": "a Python registry",
    r"registry\.n[p]mjs\.org|(?:deb|archive)\.(?:d[e]bian|u[b]untu)\.": "a registry",
    r"(?<![\w.$}~-])/(?:w[o]rk|r[o]ot|h[o]me/\w+|U[s]ers/\w+|t[m]p/\w+)\b": "a path of one machine",
    r"\bh[f]_[A-Za-z0-9]{20,}|\bey[J][A-Za-z0-9_-]{20,}\.ey[J]": "a token",
}


def test_no_file_names_a_registry_a_machine_or_a_token() -> None:
    found = []
    for path in tracked():
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            found += [f"{path.relative_to(ROOT)}:{number}: {what}" for pattern, what in FOREIGN.items() if re.search(pattern, line)]
    assert found == []


# -- the README ---------------------------------------------------------------------------------------------------------

# Every command that the README shows → the test that runs it. A command without a test is a promise that nobody keeps.
README_COMMANDS: dict[str, str] = {
    "./native/pipeline.sh examples/station.mp4": "tests/test_end_to_end.py::test_the_first_command_of_the_readme",
    "./native/pipeline.sh --env examples/station.env examples/station.mp4": (
        "tests/test_end_to_end.py::test_the_command_with_the_tiny_whisper"
    ),
    "./tests/run.sh": "tests/test_run_sh.py::test_everything_is_built_checked_and_tested",
}


def commands(text: str) -> list[str]:
    """The commands of all ```sh blocks, without comments; a line that ends in a backslash goes on."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(code.split()) for line in lines if (code := re.sub(r"(^|\s)#.*", "", line)).strip()]


def test_every_command_of_the_readme_is_run_by_a_test() -> None:
    shown = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(shown) == set(README_COMMANDS)
    for node in README_COMMANDS.values():
        path, _, name = node.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        functions = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
        marks = [ast.unparse(d) for f in functions if f.name == name for d in f.decorator_list]
        assert name in [f.name for f in functions], f"{node} is not there"
        assert not any("skip" in mark or "slow" in mark for mark in marks), f"{node} is not run by default"


def test_the_first_screen_names_both_commands() -> None:
    first = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:25])
    assert "./native/pipeline.sh --env examples/station.env examples/station.mp4" in first
    assert "./tests/run.sh" in first


def test_commands_are_read_as_people_read_them() -> None:
    text = "```sh\na b   # why\n\n# only a comment\nc \\\n  d '#e'\n```\n\n    not this\n\n```\nnor this\n```\n```sh\nf\n```\n"
    assert commands(text) == ["a b", "c d '#e'", "f"]
