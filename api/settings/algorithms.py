"""Which token algorithms there are, and whether a key fits one.  What is not listed here is refused."""

from __future__ import annotations

from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from interlock.engine import BadConfiguration

SECRET_ALGORITHMS: Final = frozenset({"HS256", "HS384", "HS512"})
_CURVES: Final = {"ES256": "secp256r1", "ES384": "secp384r1", "ES512": "secp521r1"}
_RSA: Final = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
ALGORITHMS: Final = SECRET_ALGORITHMS | _RSA | frozenset(_CURVES) | {"EdDSA"}
MIN_RSA_BITS: Final = 2048


def needs_secret(algorithm: str) -> bool:
    """Return whether an algorithm verifies with a shared secret; raise BadConfiguration where it is unknown."""
    if algorithm not in ALGORITHMS:
        raise BadConfiguration(f"JWT_ALGORITHM: {algorithm!r} is none of {', '.join(sorted(ALGORITHMS))}")
    return algorithm in SECRET_ALGORITHMS


def key_fits(key: Any, algorithm: str) -> bool:
    """Return whether a public key is of the kind, curve and strength that the algorithm needs."""
    if algorithm in _RSA:
        return isinstance(key, rsa.RSAPublicKey) and key.key_size >= MIN_RSA_BITS
    if algorithm in _CURVES:
        return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == _CURVES[algorithm]
    return algorithm == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey)


def check_public_key(pem: str, algorithm: str) -> None:
    """Raise BadConfiguration where the PEM is no public key that the algorithm can safely verify with."""
    if "PRIVATE KEY" in pem:
        raise BadConfiguration("JWT_PUBLIC_KEY: it is a private key; give only the public half")
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, TypeError):
        raise BadConfiguration("JWT_PUBLIC_KEY: it is not a public key in PEM form") from None
    if not key_fits(key, algorithm):
        raise BadConfiguration(f"JWT_PUBLIC_KEY: its kind, curve or strength does not fit {algorithm}")
