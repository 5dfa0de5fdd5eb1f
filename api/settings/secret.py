"""Secrets that don't show themselves."""

from __future__ import annotations

import hashlib


class Secret:
    """A text that no repr, log line or error shows; `reveal()` is the one way to it."""

    __slots__ = ("_text", "digest")

    def __init__(self, text: str) -> None:
        self._text = text
        self.digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        """SHA-256 of it, to compare with."""

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)
