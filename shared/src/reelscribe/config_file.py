"""native/config/.env.pipeline and the table of docs/stages.md, written from the contracts of all stages.

python -m reelscribe.config_file --write    write both
python -m reelscribe.config_file --check    exit code 6 when one of them is not what --write would write
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from reelscribe import hub, logger, settings, supervise
from reelscribe.artifacts import atomic_write
from reelscribe.command_line import command
from reelscribe.errors import ExitCode
from reelscribe.settings import Setting, StageOptions
from reelscribe.stage import Stage, StageFiles, file_fields, load_contracts
from reelscribe.stage_table import ROOT

DOCUMENT = ROOT / "docs" / "stages.md"
BEGIN = "<!-- from here to the end of the table: python -m reelscribe.config_file --write -->"
_HEAD = """\
# Every setting of reelscribe with its default. To change one, remove the # and write another value.
# Weaker than everything else: command line > --env FILE > the movie directory's job.env > environment > this file > default.
# Written by `python -m reelscribe.config_file --write` from the declarations in native/stages and shared.
"""
AnyStage = Stage[Any, Any, Any]


def settings_file() -> str:
    """The text of native/config/.env.pipeline: every setting once, where it first matters; values that somebody has set stay."""
    stages = load_contracts()
    everywhere = settings.settings_of("all", StageOptions)
    shared: dict[str, list[str]] = {}
    for stage in stages:
        for setting in settings.settings_of(stage.name, stage.options):
            shared.setdefault(setting.env, []).append(stage.name)
    written = {setting.env for setting in everywhere}
    pipeline = [s for model in (supervise.PipelineOptions, hub.HubOptions) for s in settings.settings_of("pipeline", model)]
    pipeline = [s for s in pipeline if s.env not in written]
    sections = [_titled("every stage", [_entry(s, []) for s in everywhere])]
    sections.append(_titled("the pipeline", [_entry(s, shared.get(s.env, [])) for s in pipeline]))
    written |= {setting.env for setting in pipeline}
    for stage in stages:
        mine = [s for s in settings.settings_of(stage.name, stage.options) if s.env not in written]
        written = written | {s.env for s in mine}
        lines = [_entry(s, shared[s.env][1:]) for s in mine]
        if set(stage.row.devices) - {"cpu"}:
            lines.append(
                f"# device of this stage alone [auto|mps|cuda|cpu; default what DEVICE says]\n#{settings.device_env(stage.name)}=\n"
            )
        sections.append(_titled(stage.name, lines))
    return _with_what_is_set("\n".join([_HEAD, *filter(None, sections)]))


def _with_what_is_set(text: str) -> str:
    """`text` with the lines of the present file that set something, each below its default."""
    present = settings.PIPELINE_ENV.read_text(encoding="utf-8").splitlines() if settings.PIPELINE_ENV.exists() else []
    set_lines = {line.partition("=")[0].strip(): line for line in present if "=" in line and not line.startswith("#")}
    lines = []
    for line in text.splitlines():
        lines.append(line)
        name, equals, _ = line.removeprefix("#").partition("=")
        if equals and name in set_lines:
            lines.append(set_lines.pop(name))
    return "\n".join([*lines, *set_lines.values()]) + "\n"


def _titled(title: str, lines: Sequence[str]) -> str:
    return f"# ---- {title} ----\n" + "".join(lines) if lines else ""


def _entry(setting: Setting, also: Sequence[str]) -> str:
    """Two lines: what it is, and the default; `also` names the other stages that ask for it."""
    told = f"{setting.help} [{settings.choices(setting)}{', in ' + setting.unit if setting.unit else ''}]"
    others = f"; also for {', '.join(also)}" if also else ""
    kept = "; --resume does not remember it" if setting.personal else ""
    return f"# {told}{others}{kept}\n#{setting.env}={settings.shown(setting.default)}\n"


def stage_table() -> str:
    """The table of docs/stages.md."""
    rows = ["| stage | what it does | needs | environment | device | reads | writes |", "|---|---|---|---|---|---|---|"]
    for stage in load_contracts():
        cells = [
            f"[{stage.row.number} {stage.name}](../native/stages/{stage.row.script.name})",
            _first_sentence(stage),
            ", ".join(stage.row.needs) or "–",
            ", ".join(f"`{name}`" for name in stage.row.environments),
            ", ".join(stage.row.devices) or "–",
            _files(stage.inputs),
            _files(stage.outputs),
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _first_sentence(stage: AnyStage) -> str:
    text = sys.modules[stage.run.__module__].__doc__ or ""
    return text.strip().split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def _files(model: type[StageFiles]) -> str:
    names = []
    for file in file_fields(model):
        name = "the movie" if file.is_movie else f"`{file.pattern.replace('{name}', '<Movie_Name>')}`"
        names.append(f"{name} (if there)" if file.optional else name)
    return ", ".join(names)


def document() -> str:
    """The text of docs/stages.md: what people wrote stays, the table after BEGIN is made anew."""
    text = DOCUMENT.read_text(encoding="utf-8")
    before, begin, after = text.partition(BEGIN)
    rest = after.lstrip("\n").splitlines(keepends=True)
    while rest and rest[0].startswith("|"):
        del rest[0]
    return f"{before}{begin or BEGIN}\n\n{stage_table()}{''.join(rest)}"


def files() -> dict[Path, str]:
    """Each file that is written from the contracts, with its text."""
    return {settings.PIPELINE_ENV: settings_file(), DOCUMENT: document()}


@command
def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="reelscribe.config_file", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true")
    mode.add_argument("--check", action="store_true")
    write = parser.parse_args(arguments).write
    stale = [path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if write:
            with atomic_write(path) as f:
                f.write(files()[path])
            logger.result(str(path))
        else:
            logger.get().error("%s is not what the contracts say: python -m reelscribe.config_file --write", path)
    return ExitCode.DONE if write or not stale else ExitCode.FAILED


if __name__ == "__main__":
    sys.exit(main())
