"""Settings: where they come from, who wins, how errors name them, and that secrets never show."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, SecretStr, model_validator

from reelscribe import settings
from reelscribe.errors import BadInputError, ExitCode, UsageError
from reelscribe.settings import LanguageOption, StageOptions, TranslateOption, layers, option, read_env_file, resolve, settings_of


class Tiny(StageOptions, LanguageOption, TranslateOption):
    """Options of a stage that is none."""

    beam: int = option(5, env="BEAM", unit="paths", ge=1, le=10, help="width of the search")
    onset: float = option(0.5, env="ONSET", gt=0, lt=1, help="when speech begins")
    format: Literal["srt", "vtt"] = option("srt", env="FORMAT", help="kind of file")
    glossary: Path | None = option(None, env="GLOSSARY", help="the user's terms")
    token: SecretStr | None = option(None, env="TOKEN", affects_output=False, help="key of the service", min_length=8)


@pytest.fixture(autouse=True)
def _nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the shell of the developer nor the file of the checkout."""
    for setting in settings_of("tiny", Tiny):
        monkeypatch.delenv(setting.env, raising=False)
    monkeypatch.setattr(settings, "PIPELINE_ENV", tmp_path / ".env.pipeline")


def resolved(**said: str) -> Tiny:
    """The options when the command line says `said`."""
    return resolve("tiny", Tiny, [("command line", said)])[0]


# -- precedence ---------------------------------------------------------------------------------------------------------

PLACES = ("command line", "my.env", "job.env", "environment", ".env.pipeline")


def say_everywhere(where: tuple[str, ...], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[settings.Layer]:
    """`name` is the place's number plus one in each of the places of `where`; the layers that result."""
    value = {place: str(number) for number, place in enumerate(PLACES, start=1)}
    movie_dir = tmp_path / "out"
    movie_dir.mkdir()
    (tmp_path / "my.env").write_text(f"{name}={value['my.env']}\n" if "my.env" in where else "")
    if "job.env" in where:
        (movie_dir / "job.env").write_text(f"{name}={value['job.env']}\n")
    if "environment" in where:
        monkeypatch.setenv(name, value["environment"])
    if ".env.pipeline" in where:
        settings.PIPELINE_ENV.write_text(f"{name}={value['.env.pipeline']}\n")
    return layers({name: value["command line"]} if "command line" in where else {}, tmp_path / "my.env", movie_dir)


@pytest.mark.parametrize("where", [c for n in range(6) for c in itertools.combinations(PLACES, n)], ids=" ".join)
def test_the_strongest_place_wins_and_is_remembered(where: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options, sources = resolve("tiny", Tiny, say_everywhere(where, "BEAM", tmp_path, monkeypatch))
    strongest = where[0] if where else "default"
    assert sources["beam"] == strongest
    assert options.beam == (PLACES.index(strongest) + 1 if where else 5)
    assert sources["onset"] == "default"


def test_files_that_are_not_there_are_no_places(tmp_path: Path) -> None:
    assert [name for name, _ in layers({}, None, tmp_path / "nowhere")] == ["command line", "environment"]


class Places(BaseModel):
    """A path, and what may be a name or a path."""

    folder: Path = option(Path("models"), env="FOLDER", help="a folder")
    model: str = option("tiny", env="MODEL", help="a name or a folder")


@pytest.mark.parametrize("said", ["FOLDER", "MODEL"])
def test_paths_in_a_settings_file_start_from_its_folder(said: str, tmp_path: Path) -> None:
    (tmp_path / "job" / "models" / "mine").mkdir(parents=True)
    (tmp_path / "job" / "my.env").write_text(f"{said}=models/mine\n")
    options, _ = resolve("tiny", Places, layers({}, tmp_path / "job" / "my.env", None))
    assert Path({"FOLDER": options.folder, "MODEL": options.model}[said]) == tmp_path / "job" / "models" / "mine"


def test_a_name_with_a_slash_that_is_no_folder_there_stays_a_name(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("MODEL=openai/whisper-tiny\n")
    assert resolve("tiny", Places, layers({}, tmp_path / "my.env", None))[0].model == "openai/whisper-tiny"


def test_an_empty_value_counts_as_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEAM", "7")
    options, sources = resolve("tiny", Tiny, layers({"BEAM": ""}, None, None))
    assert (options.beam, sources["beam"]) == (7, "environment")


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"DEVICE": "cuda"}, "cuda"),
        ({"DEVICE_TINY_STAGE": "mps"}, "mps"),
        ({"DEVICE": "cuda", "DEVICE_TINY_STAGE": "mps"}, "mps"),
        ({"DEVICE_ASR": "mps"}, "auto"),
    ],
)
def test_a_stage_has_a_device_of_its_own(layer: dict[str, str], expected: str) -> None:
    assert resolve("tiny-stage", Tiny, [("environment", layer)])[0].device == expected


def test_the_command_line_beats_the_device_of_one_stage_in_the_environment() -> None:
    found = [("command line", {"DEVICE": "cpu"}), ("environment", {"DEVICE_TINY": "cuda"})]
    assert resolve("tiny", Tiny, found)[0].device == "cpu"


def test_what_a_desktop_sets_for_its_own_language_is_not_the_movies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "en_US:en")
    assert resolve("tiny", Tiny, layers({}, None, None))[0].language == "auto"


# -- values -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("yes", True), ("false", False), ("0", False), ("off", False)])
def test_a_switch_can_be_written_as_people_do(text: str, value: bool) -> None:
    assert resolved(TRANSLATE=text).translate is value


def test_paths_know_the_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolved(GLOSSARY="~/terms.txt").glossary == tmp_path / "terms.txt"
    assert resolved().models_dir == tmp_path / ".cache" / "reelscribe" / "models"


def test_a_home_folder_that_is_not_there_is_a_wrong_setting() -> None:
    with pytest.raises(UsageError, match=r"GLOSSARY='~nobody-at-all/x' \(command line\): there is no such home folder"):
        resolved(GLOSSARY="~nobody-at-all/x")


# -- errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BEAM", "five", "number ≥1 ≤10"),
        ("BEAM", "11", "number ≥1 ≤10"),
        ("BEAM", "1.5", "number ≥1 ≤10"),
        ("ONSET", "0", "number >0 <1"),
        ("FORMAT", "ass", "srt|vtt"),
        ("TRANSLATE", "maybe", "true|false"),
        ("DEVICE", "tpu", "auto|mps|cuda|cpu"),
        ("MOVIE_LANGUAGE", "English", "text"),
        ("THREADS", "-1", "number ≥0"),
        ("LOG_LEVEL", "loud", "debug|info|warning|error"),
    ],
)
def test_a_bad_value_is_named_with_its_place_and_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve("tiny", Tiny, [("command line", {}), ("job.env", {name: value})])
    assert caught.value.code is ExitCode.USAGE == 2
    assert caught.value.message.startswith(f"{name}={value!r} (job.env): ")
    help_text = next(s.help for s in settings_of("tiny", Tiny) if s.env == name)
    assert caught.value.remedy == f"{name} takes {allowed}: {help_text}"


def test_options_that_do_not_fit_together_are_named_by_their_stage() -> None:
    class Speakers(StageOptions):
        least: int = option(2, env="MIN_SPEAKERS", help="at least")
        most: int = option(3, env="MAX_SPEAKERS", help="at most")

        @model_validator(mode="after")
        def _in_order(self) -> Any:
            if self.least > self.most:
                raise ValueError("MIN_SPEAKERS is more than MAX_SPEAKERS")
            return self

    with pytest.raises(UsageError, match=r"^diarization: MIN_SPEAKERS is more than MAX_SPEAKERS"):
        resolve("diarization", Speakers, [("command line", {"MIN_SPEAKERS": "4"})])


def test_a_secret_is_in_no_error_and_no_text() -> None:
    options = resolved(TOKEN="hunter22-and-more")
    assert options.token is not None
    assert options.token.get_secret_value() == "hunter22-and-more"
    assert "hunter22" not in repr(options) + str(options) + options.model_dump_json()
    with pytest.raises(UsageError) as caught:
        resolved(TOKEN="hunter2")
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert "TOKEN=*** (command line)" in str(caught.value)


# -- settings files -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=two words\n", {"A": "1", "B": "two words"}),
        ("# a comment\n\nA=1 # another\n", {"A": "1"}),
        ("export A=1\n", {"A": "1"}),
        ("A='it'\\''s'\n", None),
        ("A='it\\'s $HOME'\n", {"A": "it's $HOME"}),
        ('A="two\\nlines"\n', {"A": "two\nlines"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1\n", {"A": "1"}),
        ("A=\n", {"A": ""}),
        ("A=${B}\n", {"A": "${B}"}),
        ("", {}),
        ("A\n", None),
        ("A 1\n", None),
        ("A='open\nB=2\n", None),
    ],
)
def test_settings_files(tmp_path: Path, text: str, expected: dict[str, str] | None) -> None:
    path = tmp_path / "my.env"
    path.write_bytes(text.encode())
    if expected is not None:
        assert read_env_file(path) == expected
        return
    with pytest.raises(BadInputError, match=r"my\.env: line 1 is no KEY=VALUE") as caught:
        read_env_file(path)
    assert caught.value.remedy == "write one KEY=VALUE on a line"


def test_a_line_that_cannot_be_read_is_not_shown_as_it_may_hold_a_secret(tmp_path: Path) -> None:
    (tmp_path / "my.env").write_text("BEAM=3\n\nTOKEN: hunter22-and-more\n")
    with pytest.raises(BadInputError, match="line 3") as caught:
        read_env_file(tmp_path / "my.env")
    assert "hunter" not in str(caught.value)


def _is_folder(path: Path) -> None:
    path.mkdir()


def _is_latin1(path: Path) -> None:
    path.write_bytes(b"TITLE=caf\xe9\n")


@pytest.mark.parametrize(
    ("make", "said"), [(lambda path: None, "No such file"), (_is_folder, "Is a directory"), (_is_latin1, "is not UTF-8 text")]
)
def test_a_settings_file_that_cannot_be_read_says_why(tmp_path: Path, make: Callable[[Path], None], said: str) -> None:
    make(tmp_path / "my.env")
    with pytest.raises(BadInputError, match=said):
        read_env_file(tmp_path / "my.env")


# -- declarations -------------------------------------------------------------------------------------------------------


def test_everything_derives_from_the_field() -> None:
    known = {s.field: s for s in settings_of("tiny", Tiny)}
    assert (known["beam"].env, known["beam"].flag, known["beam"].unit, known["beam"].default) == ("BEAM", "--beam", "paths", 5)
    assert known["models_dir"].flag == "--models-dir"
    assert [s.field for s in known.values() if s.secret] == ["token"]
    assert {s.field for s in known.values() if s.affects_output} == {"language", "translate", "beam", "onset", "format", "glossary"}


@pytest.mark.parametrize(("value", "text"), [(None, ""), (True, "true"), (False, "false"), (0.5, "0.5"), (Path("~/x"), "~/x")])
def test_values_are_shown_as_one_writes_them(value: object, text: str) -> None:
    assert settings.shown(value) == text


def test_options_are_frozen_and_know_no_strangers() -> None:
    with pytest.raises(ValueError, match="frozen"):
        resolved().beam = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Tiny(colour="red")  # type: ignore[call-arg]


# -- files with secrets -------------------------------------------------------------------------------------------------

SECRET = "hunter22-and-more"


def secret_file(path: Path, mode: int, text: str = f"TOKEN={SECRET}\n") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_is_taken_from_a_file_that_nobody_else_may_read(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path / "my.env", mode)
    options, sources = resolve("tiny", Tiny, layers({}, path, None))
    assert options.token is not None and options.token.get_secret_value() == SECRET
    assert sources["token"] == "my.env"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
@pytest.mark.parametrize("name", ["my own.env", "film/job.env"])
def test_a_secret_in_a_file_of_others_is_refused_with_what_mends_it(tmp_path: Path, mode: int, name: str) -> None:
    path = secret_file(tmp_path / name, mode)
    found = layers({}, path, None) if path.name != "job.env" else layers({}, None, path.parent)
    with pytest.raises(UsageError) as caught:
        resolve("tiny", Tiny, found)
    assert caught.value.remedy == f"chmod 600 {shlex.quote(str(path))}"
    assert f"{mode:04o}" in caught.value.message and SECRET not in str(caught.value)
    assert caught.value.__context__ is None


def test_files_without_a_secret_may_be_read_by_anybody(tmp_path: Path) -> None:
    path = secret_file(tmp_path / "my.env", 0o644, "TOKEN=\nBEAM=3\n")
    assert resolve("tiny", Tiny, layers({}, path, None))[0].token is None


def test_a_password_in_an_address_is_in_no_error() -> None:
    with pytest.raises(UsageError) as caught:
        resolve("tiny", Tiny, [("environment", {"BEAM": "https://me:hunter2@example.org"})])
    assert "https://***@example.org" in str(caught.value) and "hunter2" not in str(caught.value)
