"""What runs beside what: needs, room and the GPU are heeded in any order, and one after the other is the table's order."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reelscribe import device_manager, stage_table
from reelscribe.device_manager import Machine
from reelscribe.schedule import Room, Schedule, Task, task_of
from reelscribe.stage import load_contract
from reelscribe.stage_table import Row, waits_for

ROOMY = Room(jobs=0, cores=64, ram_mb=1 << 20)


def tasks(*, only: tuple[str, ...] = (), gpu: bool = False, cores: int = 64) -> list[Task]:
    """The stages of the real table, or `only` these."""
    rows = [row for row in stage_table.load() if not only or row.name in only]
    names = [row.name for row in rows]
    return [_task(row, names, gpu, cores) for row in rows]


def _task(row: Row, names: list[str], gpu: bool, cores: int) -> Task:
    on_gpu = gpu and row.gpu > 0
    threads = 1 if on_gpu else device_manager.threads(row, 0, Machine(cores=cores))
    return Task(row, row.environments[0], "", frozenset(waits_for(row, names)), on_gpu, threads)


def play(schedule: Schedule, watch: Callable[[set[str]], None], draw: random.Random | None = None) -> list[str]:
    """Run it to its end; what began, in order. `watch` sees who runs together; who ends first is drawn, or the one that began first."""
    began: list[str] = []
    running: list[str] = []
    while True:
        while task := schedule.begin():
            began.append(task.name)
            running.append(task.name)
        if not running:
            return began
        watch(set(running))
        ended = running.pop(draw.randrange(len(running)) if draw else 0)
        schedule.end(ended, done=True)


def together(*, room: Room = ROOMY, draw: random.Random | None = None, **which: object) -> set[frozenset[str]]:
    """Every set of stages that ran at the same time."""
    seen: set[frozenset[str]] = set()
    play(Schedule(tasks(**which), room), lambda running: seen.add(frozenset(running)), draw)  # type: ignore[arg-type]
    return seen


def test_one_at_a_time_is_the_order_of_the_table() -> None:
    seen: list[set[str]] = []
    began = play(Schedule(tasks(), Room(jobs=1, cores=64, ram_mb=1 << 20)), seen.append)
    assert began == [row.name for row in stage_table.load()]
    assert all(len(running) == 1 for running in seen)


def test_with_room_for_all_of_them_only_needs_count() -> None:
    seen = together()
    assert {"tmdb", "silero-vad", "pyannote-vad"} in seen
    assert any({"diarization", "asr"} <= running for running in together(draw=random.Random(1)) | seen)
    assert {"demux"} in seen and {"post-ner"} in seen and {"mux"} in seen


@given(st.integers(0, 10_000), st.booleans(), st.integers(1, 32), st.integers(2_000, 64_000), st.integers(0, 5))
def test_in_any_order_nothing_begins_before_its_needs_or_without_room(seed: int, gpu: bool, cores: int, ram_mb: int, jobs: int) -> None:
    draw = random.Random(seed)
    mine, room, done = tasks(gpu=gpu, cores=cores), Room(jobs, cores, ram_mb), []
    by_name = {task.name: task for task in mine}

    def watch(running: set[str]) -> None:
        if len(running) == 1:
            return
        now = [by_name[name] for name in running]
        assert sum(t.gpu for t in now) <= 1
        assert sum(t.row.mem_mb for t in now) <= ram_mb
        assert len(now) <= jobs if jobs else sum(t.threads for t in now) <= cores

    schedule = Schedule(mine, room, draw)
    running: list[Task] = []
    while True:
        while task := schedule.begin():
            assert task.needs <= set(done)
            running.append(task)
        if not running:
            break
        watch({task.name for task in running})
        ended = running.pop(draw.randrange(len(running)))
        done.append(ended.name)
        schedule.end(ended.name, done=True)
    assert sorted(done) == sorted(by_name)


def test_one_gpu_is_for_one_stage() -> None:
    seen = together(gpu=True)
    assert not any({"diarization", "asr"} <= running for running in seen)
    assert any({"pyannote-vad", "silero-vad"} <= running for running in seen), "the others run beside it"


def test_a_stage_whose_aligner_has_the_gpu_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a Mac CTranslate2 decodes on the CPU, and words are aligned on MPS."""
    machine = Machine(mps=True, cores=10, ram_mb=1 << 20)
    monkeypatch.setattr(device_manager, "probe", lambda: machine)
    made = []
    for name, said in (("diarization", {}), ("asr", {"backend": "whisperx"})):
        stage = load_contract(stage_table.find(name))
        made.append(task_of(stage, stage.options(**said), "", "", [name], machine))
    diarization, asr = made
    assert (asr.threads, asr.gpu) == (8, True)
    assert not Room.of(machine, 0).has(asr, [diarization])


def test_two_cores_are_shared_by_those_that_need_one() -> None:
    seen = together(room=Room(0, 2, 1 << 20), cores=2)
    assert {"tmdb", "silero-vad"} in seen
    assert {"pyannote-vad"} in seen and {"asr"} in seen
    assert max(map(len, seen)) == 2


def test_a_number_of_jobs_is_taken_at_its_word_but_memory_is_not() -> None:
    assert {"tmdb", "silero-vad", "pyannote-vad"} in together(room=Room(3, 1, 1 << 20), cores=1)
    assert max(map(len, together(room=Room(8, 8, 100)))) == 1


def test_who_needs_a_stage_that_is_left_out_waits_for_what_that_one_needs() -> None:
    seen = together(only=("demux", "pyannote-vad", "asr", "mux"))
    assert seen == {frozenset({name}) for name in ("demux", "pyannote-vad", "asr", "mux")}


def test_after_a_failure_nothing_new_begins() -> None:
    schedule = Schedule(tasks(only=("demux", "tmdb", "silero-vad", "pre-ner")), ROOMY)
    assert schedule.begin().name == "demux"  # type: ignore[union-attr]
    schedule.end("demux", done=True)
    assert {schedule.begin().name, schedule.begin().name} == {"tmdb", "silero-vad"}  # type: ignore[union-attr]
    schedule.end("silero-vad", done=False)
    schedule.end("tmdb", done=True)
    assert schedule.begin() is None


@pytest.mark.parametrize(("cores", "wanted", "threads"), [(2, 0, 2), (64, 0, 8), (64, 3, 3), (2, 5, 5)])
def test_threads_are_those_of_the_table_and_of_nothing_that_runs(cores: int, wanted: int, threads: int) -> None:
    assert device_manager.threads(stage_table.find("asr"), wanted, Machine(cores=cores)) == threads
