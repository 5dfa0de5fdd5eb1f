"""How a setting is read: from `NAME`, or from the file that `NAME_FILE` points at, never from both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from interlock.engine import BadConfiguration

Environ = Mapping[str, str]
T = TypeVar("T")
MAX_SETTING: Final = 64 * 1024


def read(env: Environ, name: str, *, may_be_empty: bool = False) -> str | None:
    """Return a setting's text from NAME or NAME_FILE, None where neither is there."""
    file_name = f"{name}_FILE"
    given, path = env.get(name), env.get(file_name)
    if given is not None and path is not None:
        raise BadConfiguration(f"{name}: both {name} and {file_name} are set; leave one")
    if path is not None:
        given = _read_file(file_name, path)
    if given is None:
        return None
    if not given.strip() and not may_be_empty:
        raise BadConfiguration(f"{name if path is None else file_name}: set, but empty")
    if "\0" in given:
        raise BadConfiguration(f"{name}: it has a NUL in it")
    return given


def _read_file(file_name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(MAX_SETTING + 1)
        text = raw.decode("utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not UTF-8 text"
        raise BadConfiguration(f"{file_name}: can't read {path}: {reason}") from None
    if len(raw) > MAX_SETTING:
        raise BadConfiguration(f"{file_name}: {path} is longer than {MAX_SETTING} bytes")
    return text.rstrip("\r\n")


def required(env: Environ, name: str) -> str:
    text = read(env, name)
    if text is None:
        raise BadConfiguration(f"{name}: not set, and it is required")
    return text


def optional(env: Environ, name: str, check: Callable[[str], T]) -> T | None:
    text = read(env, name)
    return None if text is None else check(text)


def number(env: Environ, name: str, default: float, *, whole: bool = False) -> float:
    text = read(env, name)
    if text is None:
        return default
    try:
        number = float(int(text)) if whole else float(text)
    except (ValueError, OverflowError):
        raise BadConfiguration(f"{name}: {'a whole' if whole else 'a'} number is needed") from None
    if not math.isfinite(number) or not 0 <= number <= 1e9:
        raise BadConfiguration(f"{name}: it must be 0 or more, and no more than 1000000000")
    return number


def one_of(env: Environ, name: str, words: tuple[str, ...]) -> str:
    """Return a setting that is one of a few words; the first is the default."""
    text = (read(env, name) or words[0]).strip()
    found = [word for word in words if word.lower() == text.lower()]
    if not found:
        raise BadConfiguration(f"{name}: {text[:40]!r} is none of {', '.join(words)}")
    return found[0]


def parts(name: str, text: str) -> list[str]:
    """Return what stands between commas; raise BadConfiguration where one is empty."""
    found = [part.strip() for part in text.split(",")]
    if not all(found):
        raise BadConfiguration(f"{name}: one of the comma separated values is empty")
    return found
