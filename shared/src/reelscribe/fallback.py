"""A stage whose device fails runs once more on the next one of its row, which is said and recorded.

Out of memory, a driver or a library that does not fit, an operation that the device does not have: what libraries raise then has a
hundred texts and no type in common, so anything unforeseen on a GPU counts. The CPU is the last device: what fails there fails. A crash
takes the process with it, and is answered by reelscribe.supervise.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from reelscribe import device_manager, logger, manifest, memory
from reelscribe.errors import ExitCode, ReelscribeError
from reelscribe.manifest import Manifest
from reelscribe.stage import Context
from reelscribe.stage_table import Row

_LONGEST_REASON = 300


def run(
    work: Callable[[Context[Any, Any, Any]], None], row: Row, ctx: Context[Any, Any, Any], record: Manifest, *, store: bool = True
) -> None:
    """`work(ctx)` of the stage `row`, on one device after the other. `record` says which is at work, and is stored then if `store`."""
    while True:
        try:
            work(ctx)
            return
        except Exception as error:
            if not _may_be_the_device(error, ctx):
                raise
            why = _one_line(error)
            logger.to_file("".join(traceback.format_exception(error)))
        # Behind the except block, which would keep the tensors of the failed attempt in memory.
        failed = ctx.device
        ctx.device = device_manager.after(failed, row, ctx.engine.kind, f"{failed.device} failed: {why}")
        ctx.fallback(f"device {failed.device} failed: {why}; once more on {ctx.device.device} ({ctx.device.compute})")
        ctx.added.clear()
        record.device = ctx.device
        if store:
            manifest.write(ctx.movie_dir, row, record)
        memory.cleanup()


def _may_be_the_device(error: Exception, ctx: Context[Any, Any, Any]) -> bool:
    if not ctx.engine.kind or ctx.device.device == "cpu" or manifest.NO_RETRY in ctx.notes:
        return False
    if isinstance(error, ReelscribeError):
        return error.code == ExitCode.FAILED
    return not isinstance(error, (OSError, MemoryError))


def _one_line(error: Exception) -> str:
    """The first line; that of a ReelscribeError needs no name."""
    text = error.message if isinstance(error, ReelscribeError) else f"{type(error).__name__}: {error}"
    return logger.redact(text.strip().splitlines()[0])[:_LONGEST_REASON]
