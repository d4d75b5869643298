"""pyannote's models, for the stages pyannote-vad and diarization: which ones, where from, and what one stage leaves for the other.

The best is community-1 (gated: a token and accepted conditions, or a local folder); the default needs neither.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from reelscribe import device_manager
from reelscribe.artifacts import atomic_write
from reelscribe.errors import BadInputError, MissingToolError
from reelscribe.manifest import Engine
from reelscribe.models import ModelNeed, locate
from reelscribe.settings import HubTokenOption, MpsOptions
from reelscribe.trust import TrustOption, UntrustedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Loaded = TypeVar("Loaded")

SEGMENTATION = "segmentation/pytorch_model.bin"
EMBEDDING = "embedding/pytorch_model.bin"
# The files are those that pyannote's SpeakerDiarization looks for below its `$model/…` folders.
COMMUNITY = ModelNeed(
    repo="pyannote/speaker-diarization-community-1",
    purpose="voices",
    files=("config.yaml", SEGMENTATION, EMBEDDING, "plda/xvec_transform.npz", "plda/plda.npz"),
    gated=True,
)
_LARGEST_SEGMENTATION = 1 << 30  # unpacked; that of a film of 24 hours is a third of it
EMBEDDED_SEGMENTATION = "assets/pytorch_model.bin"  # inside whisperx


class PyannoteOptions(TrustOption, HubTokenOption, MpsOptions):
    """For the two stages that can use community-1."""


# -- which models -------------------------------------------------------------------------------------------------------


def needs(options: PyannoteOptions) -> list[ModelNeed]:
    """community-1, where there is a token to ask for it with."""
    return [COMMUNITY] if options.hf_token else []


def engine(options: PyannoteOptions, embedded: Engine) -> Engine:
    """`embedded`, or community-1 when it is on this machine."""
    found = locate(COMMUNITY, options.models_dir)
    if found is None:
        return embedded
    model = f"{COMMUNITY.repo}@{found.revision}" if found.revision else COMMUNITY.repo
    return Engine(name="pyannote community-1", kind="torch", packages=("pyannote-audio", "torch"), model=model)


def facts(movie: Path, options: PyannoteOptions) -> dict[str, str | Path | None]:
    """The files of a community-1 that somebody put there by hand; otherwise its revision says what they are."""
    found = locate(COMMUNITY, options.models_dir)
    return {f"community-1/{name}": found.folder / name for name in COMMUNITY.files} if found and not found.revision else {}


def load(
    options: PyannoteOptions, community: Callable[[Path], Loaded], embedded: Callable[[], Loaded], say: Callable[[str], None]
) -> Loaded:
    """What `community` makes of the folder of community-1, or else what `embedded` makes.

    `say` is told when the embedded models stand in for a community-1 that is broken, or that was asked for with a token. Raises
    UntrustedError for one that would run code of its own: nobody put that there by mistake.
    """
    found = locate(COMMUNITY, options.models_dir)
    with quiet():
        if found:
            try:
                return community(found.folder)
            except UntrustedError:
                raise
            except Exception as error:  # files of a third party: anything may be wrong with them
                why = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
                say(
                    f"{COMMUNITY.repo} in {found.folder} cannot be used ({type(error).__name__}: {why}); "
                    "the embedded models take its place, until this stage is run with --force"
                )
        elif options.hf_token:
            say(f"there is an HF_TOKEN, but {COMMUNITY.repo} is not here; the embedded models take its place")
        return embedded()


def set_up_torch(threads: int) -> None:
    """How much of the machine torch may take."""
    import torch

    torch.set_num_threads(threads)
    device_manager.limit_mps_memory()


def embedded_segmentation() -> Path:
    """The segmentation checkpoint that whisperx carries; whisperx itself is not imported. Raises MissingToolError."""
    package = importlib.util.find_spec("whisperx")
    path = Path(*(package.submodule_search_locations or [])) / EMBEDDED_SEGMENTATION if package else None
    if path is None or not path.is_file():
        raise MissingToolError(f"whisperx with its {EMBEDDED_SEGMENTATION} is not installed", remedy="run native/setup_venvs.sh")
    return path


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what pyannote says when it is imported and used (no decoder, an old checkpoint), and keep its prints off stdout."""
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):
        warnings.simplefilter("ignore")
        import pyannote.audio  # noqa: F401  (lightning sets its logger's level when it is imported)

        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        yield


# -- the segmentation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Segmentation:
    """What the segmentation model said of every window of the movie.

    scores: (num_windows, num_frames, num_speakers) float16 in 0…1; window i lasts from `i * step_s` for `duration_s` seconds, and its
    speakers are its own: 0 here need not be 0 in the next window. model: digest of the weights.
    """

    scores: NDArray[np.float16]
    duration_s: float
    step_s: float
    model: str

    def write(self, path: Path) -> None:
        """Store it as .npz; the same content gives the same bytes."""
        import numpy as np

        with atomic_write(path, "wb") as f:
            window = np.array([self.duration_s, self.step_s])
            np.savez_compressed(f, scores=self.scores, window=window, model=np.array(self.model))

    @classmethod
    def read(cls, path: Path) -> Segmentation:
        """Load what write() stored. Raises BadInputError."""
        import numpy as np

        try:
            with open(path, "rb") as f, np.load(f, allow_pickle=False) as content:
                if sum(part.file_size for part in content.zip.infolist()) > _LARGEST_SEGMENTATION:
                    raise ValueError("it is larger than that of any film")
                duration_s, step_s = content["window"].tolist()
                return cls(scores=content["scores"], duration_s=duration_s, step_s=step_s, model=str(content["model"]))
        except Exception as error:  # zipfile, zlib and numpy each have their own for a damaged file
            raise BadInputError(f"{path.name} cannot be read: {error}", remedy="run the stage pyannote-vad again with --force") from error


def digest(weights: Path) -> str:
    """What tells one checkpoint from another."""
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:16]
