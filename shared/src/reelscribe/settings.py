"""Settings: declared once on the pydantic fields of a stage's Options; command line, environment and manifest derive from them.

Precedence: command line > `--env FILE` > `DIR/job.env` > environment > `native/config/.env.pipeline` > default.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import stat
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo

from reelscribe import logger
from reelscribe.artifacts import read_bounded
from reelscribe.errors import BadInputError, UsageError
from reelscribe.stage_table import NATIVE

if TYPE_CHECKING:
    from dotenv.parser import Binding

PIPELINE_ENV = NATIVE / "config" / ".env.pipeline"
Options = TypeVar("Options", bound=BaseModel)
Layer = tuple[str, Mapping[str, str]]
_MPS_LOW_WATERMARK = 1.4
_LARGEST_FILE = 1 << 20


def option(default: Any, *, env: str, help: str, unit: str = "", affects_output: bool = True, personal: bool = False, **bounds: Any) -> Any:
    """A field of a stage's Options: `env` is its name in settings files, its command-line flag comes from the field's own name.

    `affects_output=False` keeps it out of the fingerprint (device, threads, paths, timeouts, secrets). `personal`: it names what is run,
    what is trusted or who is told a key, and so is never kept in a movie directory, nor taken from one. `bounds`: pydantic's ge, le, …
    """
    return Field(
        default,
        description=help,
        json_schema_extra={"env": env, "unit": unit, "affects_output": affects_output, "personal": personal},
        validate_default=True,
        **bounds,
    )


class _Declared(BaseModel):
    """A validator is built when it is first used: who only reads the declarations of all stages starts in two thirds of the time."""

    model_config = ConfigDict(defer_build=True)


class StageOptions(_Declared):
    """Options that every stage has. A stage's own class adds its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Literal["auto", "mps", "cuda", "cpu"] = option(
        "auto", env="DEVICE", affects_output=False, help="device of every stage; DEVICE_<STAGE> (DEVICE_ASR=cpu) is for one stage"
    )
    threads: int = option(
        0, env="THREADS", ge=0, affects_output=False, help="threads of a stage; 0: those of native/stages.txt, no more than cores"
    )
    models_dir: Path = option(
        Path("~/.cache/reelscribe/models"), env="MODELS_DIR", affects_output=False, help="folder with the models that need a download"
    )
    offline: bool = option(False, env="OFFLINE", affects_output=False, help="never use the network")
    log_level: Literal["debug", "info", "warning", "error"] = option("info", env="LOG_LEVEL", affects_output=False, help="how much is said")

    @field_validator("log_level", mode="before")
    @classmethod
    def _any_case(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("*", mode="after")
    @classmethod
    def _at_home(cls, value: Any) -> Any:
        """`~` in a settings file is seen by no shell."""
        try:
            return value.expanduser() if isinstance(value, Path) else value
        except RuntimeError as error:
            raise ValueError("there is no such home folder") from error


class LanguageOption(_Declared):
    """For the stages that ask which language is spoken. (LANGUAGE is gettext's, and many desktops set it.)"""

    language: str = option(
        "auto", env="MOVIE_LANGUAGE", pattern=r"^(auto|[a-z]{2,3})$", help="language spoken in the movie as ISO 639-1 code, or auto"
    )


class GlossaryOption(_Declared):
    """For the stages that read the user's own glossary file."""

    glossary: Path | None = option(
        None, env="GLOSSARY", affects_output=False, help="your own terms, one on a line; default: glossary.txt beside the movie"
    )


class TranslateOption(_Declared):
    """For the stages that ask whether English subtitles of a foreign movie are wanted."""

    translate: bool = option(False, env="TRANSLATE", help="subtitles in English, whatever is spoken")


class HubTokenOption(_Declared):
    """For whoever asks the Hugging Face hub."""

    hf_token: SecretStr | None = option(
        None,
        env="HF_TOKEN",
        affects_output=False,
        help="token of the Hugging Face hub: opens pyannote's community-1 once its terms are accepted, and private models",
    )


class FfmpegOption(_Declared):
    """For the stages that run ffmpeg."""

    ffmpeg: str = option(
        "auto",
        env="FFMPEG",
        affects_output=False,
        personal=True,
        help="path of ffmpeg; auto: the system's when it is new enough, else the one built in",
    )


class MpsOptions(_Declared):
    """For the stages that compute with torch on Apple's GPU, in their own process or another."""

    mps_high_watermark: float | None = option(
        None,
        env="PYTORCH_MPS_HIGH_WATERMARK_RATIO",
        affects_output=False,
        ge=0,
        le=2,
        help="how much of the memory that Apple recommends for its GPU torch may take; 0: without limit",
    )
    mps_fallback: bool = option(
        True, env="PYTORCH_ENABLE_MPS_FALLBACK", affects_output=False, help="let torch do on the CPU what it cannot do on Apple's GPU"
    )
    mps_alloc_max: int | None = option(
        None, env="MPS_ALLOC_MAX_SIZE_MB", affects_output=False, ge=1, unit="MiB", help="how much memory torch may take on Apple's GPU"
    )

    def mps_environment(self) -> dict[str, str]:
        """What torch, and device_manager.limit_mps_memory(), read from the environment."""
        variables = {"PYTORCH_ENABLE_MPS_FALLBACK": "1" if self.mps_fallback else "0"}
        if self.mps_high_watermark is not None:
            variables["PYTORCH_MPS_HIGH_WATERMARK_RATIO"] = str(self.mps_high_watermark)
            # torch's own low watermark is 1.4, and one above the high watermark is an error (MPSAllocator::setLowWatermarkRatio).
            if 0 < self.mps_high_watermark < _MPS_LOW_WATERMARK and "PYTORCH_MPS_LOW_WATERMARK_RATIO" not in os.environ:
                variables["PYTORCH_MPS_LOW_WATERMARK_RATIO"] = str(self.mps_high_watermark)
        if self.mps_alloc_max is not None:
            variables["MPS_ALLOC_MAX_SIZE_MB"] = str(self.mps_alloc_max)
        return variables


@dataclass(frozen=True)
class Setting:
    """One option of one stage, as the command line and settings files know it."""

    stage: str
    field: str
    env: str
    flag: str
    help: str
    unit: str
    affects_output: bool
    personal: bool
    secret: bool
    path: bool
    default: Any
    info: FieldInfo


def settings_of(stage: str, model: type[BaseModel]) -> list[Setting]:
    """The settings of a stage in the order of declaration."""
    return [_setting(stage, name, info) for name, info in model.model_fields.items()]


def _setting(stage: str, name: str, info: FieldInfo) -> Setting:
    extra = info.json_schema_extra
    assert isinstance(extra, dict), f"{stage}: declare {name} with option()"
    return Setting(
        stage=stage,
        field=name,
        env=str(extra["env"]),
        flag="--" + name.replace("_", "-"),
        help=info.description or "",
        unit=str(extra["unit"]),
        affects_output=bool(extra["affects_output"]),
        personal=bool(extra["personal"]),
        secret=SecretStr in _types(info.annotation),
        path=Path in _types(info.annotation),
        default=info.default,
        info=info,
    )


def _types(annotation: Any) -> list[Any]:
    """`annotation` and, of a union or Annotated, its members."""
    if get_origin(annotation) in (Union, types.UnionType, Annotated):
        return [inner for member in get_args(annotation) for inner in _types(member)]
    return [annotation]


def choices(setting: Setting) -> str:
    """What may be written: the literals, or the type's name and bounds."""
    members = [t for t in _types(setting.info.annotation) if t is not type(None)]
    literals = [str(value) for t in members if get_origin(t) is Literal for value in get_args(t)]
    if literals:
        return "|".join(literals)
    name = {
        bool: "true|false",
        int: "number",
        float: "number",
        Path: "path",
        SecretStr: "secret, in the environment or a file with permissions 600",
        str: "text",
    }.get(members[0], "text")
    bounds = [
        f"{symbol}{getattr(limit, attribute)}"
        for limit in setting.info.metadata
        for attribute, symbol in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))
        if getattr(limit, attribute, None) is not None
    ]
    return " ".join([name, *bounds])


def shown(value: Any) -> str:
    """A value as one writes it in a settings file."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_env_file(path: Path) -> dict[str, str]:
    """KEY=VALUE lines of a settings file. Raises BadInputError when it cannot be read."""
    try:
        # utf-8-sig: some editors put a byte order mark in front, which would become part of the first name.
        lines = _bindings(read_bounded(path, _LARGEST_FILE).decode("utf-8-sig"))
    except OSError as error:
        raise BadInputError(f"settings file {path}: {error.strerror}", remedy="check the path given with --env") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"settings file {path} is not UTF-8 text", remedy="write KEY=VALUE lines as plain text") from error
    for line in lines:
        # No name of a file, and no variable of the environment, can hold a NUL.
        if line.error or (line.key is not None and line.value is None) or "\0" in line.original.string:
            # The line itself is not shown: it may hold a secret. Its text begins with the empty lines before it.
            text = line.original.string
            number = line.original.line + text[: len(text) - len(text.lstrip())].count("\n")
            raise BadInputError(f"settings file {path}: line {number} is no KEY=VALUE", remedy="write one KEY=VALUE on a line")
    return {line.key: line.value for line in lines if line.key is not None and line.value is not None}


@lru_cache
def _bindings(text: str) -> tuple[Binding, ...]:
    """The lines of a settings file; each stage asks for the same ones, and to read its 170 comments takes 10 ms."""
    from dotenv.parser import parse_stream

    return tuple(parse_stream(io.StringIO(text)))


class EnvFile(dict[str, str]):
    """The values of a settings file, and the folder that its relative paths start from: its own."""

    def __init__(self, path: Path) -> None:
        super().__init__(read_env_file(path))
        self.path = path.absolute()
        self.folder = self.path.parent

    def secret(self, name: str) -> str:
        """The secret `name`, or nothing. Raises UsageError when others may read the file; what it holds has to be taken for known then."""
        value = self.get(name, "")
        logger.keep_secret(value)
        mode = stat.S_IMODE(self.path.stat().st_mode)
        if value and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(
                f"{self.path} holds {name}, and other users of this machine may read it (permissions {mode:04o})",
                remedy=f"chmod 600 {shlex.quote(str(self.path))}",
            )
        return value


class JobFile(EnvFile):
    """A movie directory's job.env. Directories are copied and passed on: this one may be somebody else's."""

    def may_say(self, setting: Setting) -> bool:
        """Whether it is to be heard about `setting`; where it is not, that is said."""
        if setting.personal and self.get(setting.env):
            _say_unheard(self.path, setting.env)
        return not setting.personal


@lru_cache
def _say_unheard(path: Path, name: str) -> None:
    """Once."""
    logger.get().warning(
        "%s says %s, which is not taken from a movie directory: say it with --set, --env or in the environment if you mean it", path, name
    )


def anchored(setting: Setting, value: str, folder: Path) -> str:
    """`value` as it holds in any folder: paths are taken from `folder`, and so is what may be a name or a path when it is there."""
    is_path = setting.path or ("/" in value and (folder / value).exists())
    return str(folder / value) if is_path and value and not value.startswith("~") else value


def layers(
    command_line: Mapping[str, str], env_file: Path | None, movie_dir: Path | None, environment: Mapping[str, str] | None = None
) -> list[Layer]:
    """All places settings come from, the strongest first; each is (name, values by environment name). `environment`: default, our own."""
    job = movie_dir / "job.env" if movie_dir else None
    found: list[Layer] = [("command line", command_line)]
    if env_file:
        found.append((env_file.name, EnvFile(env_file)))
    if job and job.exists():
        found.append(("job.env", JobFile(job)))
    found.append(("environment", os.environ if environment is None else environment))
    if PIPELINE_ENV.exists():
        found.append((PIPELINE_ENV.name, EnvFile(PIPELINE_ENV)))
    return found


def resolve(stage: str, model: type[Options], found: Sequence[Layer]) -> tuple[Options, dict[str, str]]:
    """The options of `stage` and, by field, the name of the layer each value came from.

    Raises UsageError that names the setting, where it was said and what is allowed. An empty value counts as not said.
    """
    values: dict[str, str] = {}
    sources: dict[str, str] = {}
    settings = settings_of(stage, model)
    for setting in settings:
        names = [device_env(stage), setting.env] if setting.field == "device" else [setting.env]
        for source, layer in found:
            if isinstance(layer, JobFile) and not layer.may_say(setting):
                continue
            said = next((layer[name] for name in names if layer.get(name)), None)
            if said is not None:
                if setting.secret:
                    said = layer.secret(setting.env) if isinstance(layer, EnvFile) else said
                    logger.keep_secret(said)
                at_home = anchored(setting, said, layer.folder) if isinstance(layer, EnvFile) else said
                values[setting.field], sources[setting.field] = at_home, source
                break
        else:
            sources[setting.field] = "default"
    try:
        return model.model_validate(values), sources
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:
            raise UsageError(f"{stage}: {message}", remedy="correct one of these settings") from None
        setting = next(s for s in settings if s.field == first["loc"][0])
        said = "***" if setting.secret else re.sub(r"//[^/@]*@", "//***@", repr(values.get(setting.field)))
        raise UsageError(
            f"{setting.env}={said} ({sources[setting.field]}): {message}",
            remedy=f"{setting.env} takes {choices(setting)}: {setting.help}",
        ) from None


def device_env(stage: str) -> str:
    """`DEVICE_PYANNOTE_VAD`: the setting of one stage's device."""
    return "DEVICE_" + stage.upper().replace("-", "_")
