"""Runs one program of reelscribe as often as it is asked to, each time in a fork of a process that has its libraries imported already.

    venvs/ENV/bin/python _fault_server.py PROGRAM     PROGRAM: a stage, or supervise, open, report

Reads a line of JSON for each run, {"arguments": [...], "said": FILE}, and answers with a line of JSON, {"code": N}, as a shell counts.
"""

from __future__ import annotations

import importlib
import io
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

_LIMIT_S = 300
# What a program needs long for and would import in every fork.
_IMPORTED = {"pyannote-vad": ("torch", "pyannote.audio"), "diarization": ("torch", "pyannote.audio"), "pre-ner": ("spacy",)}


def program(name: str) -> Callable[[list[str]], int]:
    """What the program's script calls with its command line."""
    modules = {"supervise": "reelscribe.supervise", "open": "reelscribe.cli", "report": "reelscribe.report.__main__"}
    if name in modules:
        return importlib.import_module(modules[name]).main  # type: ignore[no-any-return]
    from reelscribe.runner import run_command_line
    from reelscribe.stage import load_contract
    from reelscribe.stage_table import find

    return partial(run_command_line, load_contract(find(name)))


def run(main: Callable[[list[str]], int], arguments: list[str], said: str) -> int:
    """The exit code of main(arguments) in a fork; what it says goes to the file `said`."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        return 128 - code if code < 0 else code
    code = 1
    try:
        os.setsid()
        signal.alarm(_LIMIT_S)
        talk = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number, descriptor in enumerate((os.open(os.devnull, os.O_RDONLY), talk, talk)):
            os.dup2(descriptor, number)
        code = main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(name: str) -> None:
    """Answer until there is no request left."""
    sys.path.pop(0)  # our own folder, where a part may be called like a library
    answers = os.fdopen(os.dup(1), "w")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        main = program(name)
        for module in _IMPORTED.get(name, ()):
            importlib.import_module(module)
    for line in iter(sys.stdin.readline, ""):
        print(json.dumps({"code": run(main, **json.loads(line))}), file=answers, flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
