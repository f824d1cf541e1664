"""Fields that are encrypted at rest: AES-256-GCM, bound to the row they belong to.

The stored text is `v1.<key id>.<nonce + ciphertext>`. The key id (a digest of the key) allows several keys at once, so
that keys can be rotated; the row's identity is associated data, so that a ciphertext moved to another row is refused.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class SealBroken(Exception):
    """The text was not sealed for this place, was changed, or its key is gone."""


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"key id:" + key).hexdigest()[:8]


@dataclass(frozen=True)
class Sealer:
    """Seals and opens short texts with the first of `keys`; opens with any of them."""

    keys: tuple[bytes, ...]

    def seal(self, text: str, place: str) -> str:
        """`text` encrypted for `place` (table, column and key of the row)."""
        key, nonce = self.keys[0], secrets.token_bytes(12)
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), place.encode())
        return f"v1.{_key_id(key)}.{base64.urlsafe_b64encode(sealed).decode()}"

    def open(self, sealed: str, place: str) -> str:
        """The text that was sealed for `place`. Raises `SealBroken`."""
        try:
            version, key_id, body = sealed.split(".", 2)
            raw = base64.urlsafe_b64decode(body)
            key = next(key for key in self.keys if _key_id(key) == key_id)
            if version != "v1":
                raise SealBroken("unknown version")
            return AESGCM(key).decrypt(raw[:12], raw[12:], place.encode()).decode()
        except (ValueError, StopIteration, InvalidTag) as broken:
            raise SealBroken(place) from broken
