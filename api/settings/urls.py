"""Which URLs a setting may hold."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from interlock.engine import BadConfiguration


def _split(name: str, text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port  # its parsing may fail too
    except ValueError:
        raise BadConfiguration(f"{name}: it is not a URL") from None
    printable = text.isascii() and text.isprintable() and not {" ", "\\", '"', "<", ">"} & set(text)
    if not printable or url.scheme not in ("http", "https") or not url.hostname:
        raise BadConfiguration(f"{name}: it must be a URL like https://example.com")
    if url.username is not None or url.password is not None or "#" in text:
        raise BadConfiguration(f"{name}: a URL with neither a user nor a fragment is needed")
    return url


def check_origin(name: str, text: str, *, with_path: bool = False) -> str:
    """Return the URL without its last slash; raise BadConfiguration where it has more than an origin (and a path)."""
    url = _split(name, text.strip())
    if "?" in text or (not with_path and url.path.strip("/")):
        what = (
            "a URL like https://example.com/app, with no query" if with_path else "an origin like https://example.com"
        )
        raise BadConfiguration(f"{name}: it must be {what}, with nothing after it")
    if ".." in url.path or "//" in url.path:
        raise BadConfiguration(f"{name}: its path must be plain")
    return f"{url.scheme}://{url.netloc}{url.path}".rstrip("/")


def check_jwks_url(text: str) -> str:
    """Return the URL; raise BadConfiguration where who owns the network could answer with other keys."""
    url = _split("JWT_JWKS_URL", text.strip())
    if url.scheme == "http" and not _loopback(url.hostname or ""):
        raise BadConfiguration("JWT_JWKS_URL: keys are fetched over https, or http on loopback only")
    return text.strip()


def check_hook_url(text: str) -> str:
    """Return the URL; raise BadConfiguration where changes would be sent in the clear over a network."""
    url = _split("HOOK_URL", text.strip())
    if url.scheme == "http" and not _loopback(url.hostname or ""):
        raise BadConfiguration("HOOK_URL: changes are sent over https, or http on loopback only")
    return text.strip()


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
