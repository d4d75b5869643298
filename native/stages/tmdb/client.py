"""Asking TMDB: the key only ever in a header, bounded answers, patience with 429, and every failure as one line for people."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import urlencode

import requests
import tenacity
import urllib3.exceptions
from pydantic import SecretStr, ValidationError
from requests.auth import AuthBase

from reelscribe import logger
from reelscribe.transport import Bounded, Limits, TooLargeError, TooSlowError
from tmdb.answers import Answer
from tmdb.cache import AnswerCache
from tmdb.fields import parsed, tidy

Model = TypeVar("Model", bound=Answer)
_ATTEMPTS = 4
_MAX_WAIT_S = 60.0
_MAX_BYTES = 8 << 20


class TmdbError(Exception):
    """TMDB gives nothing; the text says why, and never contains the key."""


class NotFoundError(TmdbError):
    """TMDB knows no such thing."""


class NotCachedError(TmdbError):
    """TMDB may not be asked and the answer is not in the cache."""


class _TryAgainError(TmdbError):
    """Might work in a moment; `wait_s`: when the server says."""

    def __init__(self, message: str, wait_s: float | None = None) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class _Bearer(AuthBase):
    """https://developer.themoviedb.org/docs/authentication-application; giving requests an `auth` also keeps .netrc out."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


@dataclass
class Client:
    """`online` false: answers come from the cache alone."""

    base_url: str
    token: SecretStr | None
    cache: AnswerCache
    online: bool
    timeout_s: float
    _session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.base_url = self.base_url.rstrip("/")
        # Plain http is only allowed to this machine (TMDB_URL), where a proxy would be a stranger who reads the key.
        self._session.trust_env = self.base_url.startswith("https:")
        limits = Limits(_MAX_BYTES, head_s=3 * self.timeout_s, body_s=3 * self.timeout_s)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, Bounded(limits))

    def get(self, path: str, model: type[Model], **params: str) -> Model:
        """The answer to `path`. Raises TmdbError."""
        request = f"{self.base_url}{path}?{urlencode(sorted(params.items()))}"
        kept = self.cache.get(request)
        with suppress(ValidationError, RecursionError):
            if kept is not None:
                return model.model_validate(tidy(kept))
        if not self.online:
            raise NotCachedError("TMDB's answer is not in the cache")
        content = self._patiently(path, params)
        try:
            raw = tidy(parsed(content))
            answer = model.model_validate(raw)
            text = json.dumps(raw, ensure_ascii=False)
        except (ValueError, RecursionError) as error:
            raise TmdbError(f"TMDB's answer to {path} is not what its documentation promises") from error
        if logger.redact(text) != text:
            raise TmdbError("TMDB's answer repeats the key and is not used")
        if answer.worth_keeping:
            self.cache.put(request, raw)
        return answer

    def _patiently(self, path: str, params: dict[str, str]) -> bytes:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_TryAgainError),
            stop=tenacity.stop_after_attempt(_ATTEMPTS),
            wait=_wait_s,
            before_sleep=_say_wait,
            reraise=True,
        )
        return retrying(self._fetch, path, params)

    def _fetch(self, path: str, params: dict[str, str]) -> bytes:
        token = self._checked_token()
        try:
            # Never redirected: nothing of TMDB lies elsewhere, and the key must not go there.
            with self._session.get(
                self.base_url + path,
                params=params,
                auth=_Bearer(token),
                headers={"Accept": "application/json"},
                timeout=self.timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                _judge(response, path, token)
                return response.content
        except TooLargeError as error:
            raise TmdbError(f"TMDB's answer is larger than {_MAX_BYTES >> 20} MiB") from error
        except TooSlowError as error:
            raise TmdbError(f"TMDB's answer was not complete after {3 * self.timeout_s:g} s") from error
        except requests.exceptions.SSLError as error:
            raise TmdbError("TMDB's certificate is not trusted") from error
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise _TryAgainError(f"TMDB gave no answer within {self.timeout_s:g} s") from error
        except (requests.ConnectionError, urllib3.exceptions.HTTPError, requests.exceptions.ChunkedEncodingError) as error:
            raise _TryAgainError("TMDB cannot be reached") from error
        except requests.RequestException as error:
            raise TmdbError(f"TMDB cannot be asked ({type(error).__name__})") from error

    def _checked_token(self) -> str:
        token = self.token.get_secret_value().strip() if self.token else ""
        if not re.fullmatch(r"[!-~]+", token):
            raise TmdbError("TMDB_TOKEN holds characters that no key has")
        return token


def _judge(response: requests.Response, path: str, token: str) -> None:
    """Raise what the status means (https://developer.themoviedb.org/docs/errors)."""
    status = response.status_code
    if status == 200:
        return
    if status in (401, 403):
        # The account page shows two: a key of 32 hex digits for addresses, and the token that we need.
        short = " (it looks like the API Key; the longer API Read Access Token is needed)" if re.fullmatch("[0-9a-f]{32}", token) else ""
        raise TmdbError(f"TMDB refuses the key in TMDB_TOKEN{short}")
    if status == 404:
        raise NotFoundError(f"TMDB has no {path.lstrip('/')}")
    if status == 429:
        wait_s = _retry_after_s(response.headers.get("Retry-After"))
        if wait_s is not None and wait_s > _MAX_WAIT_S:
            raise TmdbError(f"TMDB asks to come back in {wait_s:.0f} s")
        raise _TryAgainError("TMDB asks to wait (too many requests)", wait_s)
    if status >= 500:
        raise _TryAgainError(f"TMDB has a problem of its own (HTTP {status})")
    what = "redirects to another place, which is not followed" if 300 <= status < 400 else "gives no answer"
    raise TmdbError(f"TMDB {what} (HTTP {status})")


def _retry_after_s(header: str | None) -> float | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3)."""
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,6}\s*", header):
        return float(header)
    with suppress(ValueError, TypeError):
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(timezone.utc)).total_seconds())
    return None


def _wait_s(state: tenacity.RetryCallState) -> float:
    """What the server said, else half a second, one, two."""
    error = state.outcome.exception() if state.outcome else None
    told = error.wait_s if isinstance(error, _TryAgainError) else None
    return told if told is not None else 0.5 * 2 ** (state.attempt_number - 1)


def _say_wait(state: tenacity.RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    logger.get().info("%s; trying again in %.1f s", error, state.upcoming_sleep)
