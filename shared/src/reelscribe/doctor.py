"""What every stage would use here, and why, after a real inference in each environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

from reelscribe import settings, supervise
from reelscribe.errors import ReelscribeError
from reelscribe.stage import Stage, load_contracts

_LIMIT_S = 300.0


def examine() -> Iterator[dict[str, Any]]:
    """One report a stage, in order: stage, environment, engine, device, compute, reason, ok, result, seconds."""
    for stage in load_contracts():
        try:
            options, _ = settings.resolve(stage.name, stage.options, settings.layers({}, None, None))
            environment = stage.environment(options)
            yield {"environment": environment, **_check(stage, environment)}
        except ReelscribeError as error:
            yield {"stage": stage.name, "ok": False, "result": str(error)}


def _check(stage: Stage[Any, Any, Any], environment: str) -> dict[str, Any]:
    arguments = [str(supervise.python_of(environment)), str(stage.row.script), "--check"]
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"stage": stage.name, "ok": False, "result": f"no answer within {_LIMIT_S:.0f} s"}
    try:
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return {"stage": stage.name, "ok": False, "result": f"ended with code {done.returncode}: {said[0]}"}
    return report


def print_report(report: dict[str, Any]) -> None:
    """One stage's report on stderr, as soon as it is known."""
    from rich.console import Console
    from rich.text import Text

    mark = Text("ok    ", "green") if report["ok"] else Text("FAILED", "bold red")
    device = f"{report['device']} {report['compute']}".strip() if report.get("compute") else "no device"
    engine = " · ".join(filter(None, [report.get("engine"), report.get("model")]))
    head = Text(f"{report['stage']:<13} ") + mark + Text(f" {device:<12} {engine}")
    console = Console(stderr=True, soft_wrap=True)
    console.print(head)
    if report.get("compute"):
        console.print(Text(f"              why {device}: {report['reason']}", "dim"))
    console.print(Text(f"              {report['result']}" + (f" ({report['seconds']} s)" if "seconds" in report else ""), "dim"))
