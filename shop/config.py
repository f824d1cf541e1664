"""The configuration: one frozen record, read once from the environment. The shop refuses to start on an unsafe one."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
Mode = Literal["production", "demo", "test"]
DEMO_SITE_NAME = "Agglomération du Puy-en-Velay"


def _is_random(key: str) -> bool:
    """Whether a key may have been drawn at random: long enough, and not a word over and over."""
    return len(key) >= 32 and len(set(key)) >= 12


class ConfigurationRefused(Exception):
    """The shop must not start like this; `problems` lists every reason, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """All that the environment decides."""

    mode: Mode
    database_url: str
    base_url: str
    secret_key: str = field(repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    data_keys: tuple[bytes, ...] = field(default=(), repr=False)
    """AES-256 keys for fields that are encrypted at rest, newest first."""
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str = "ne-pas-repondre@example.org"
    site_name: str = "Cantine Facile"
    clock_start: datetime | None = None
    trusted_hosts: tuple[str, ...] = ()
    proxy_count: int = 0
    limiter_url: str = "memory://"
    stripe_secret_key: str | None = field(default=None, repr=False)
    stripe_webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    stripe_api_base: str | None = None
    sandbox_secret: str = field(default="", repr=False)
    cheap_passwords: bool = False
    """Light password hashing, for tests alone."""

    @property
    def production(self) -> bool:
        return self.mode == "production"

    @property
    def demo(self) -> bool:
        return self.mode == "demo"

    @property
    def secure_cookies(self) -> bool:
        return self.base_url.startswith("https://")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Config":
        """Read and judge the environment. Raises `ConfigurationRefused` with every problem at once."""
        problems: list[str] = []
        mode = environ.get("SHOP_ENV", "demo")
        if mode not in ("production", "demo", "test"):
            raise ConfigurationRefused([f"SHOP_ENV must be production, demo or test, not {mode!r}."])
        production = mode == "production"

        clock_start = None
        if raw_clock := environ.get("SHOP_CLOCK"):
            try:
                clock_start = datetime.fromisoformat(raw_clock)
                if clock_start.tzinfo is None:
                    problems.append("SHOP_CLOCK needs its offset, as in 2026-11-19T08:00+01:00.")
            except ValueError:
                problems.append("SHOP_CLOCK is not a moment such as 2026-11-19T08:00+01:00.")

        data_keys: list[bytes] = []
        for number, text in enumerate(environ.get("DATA_KEYS", "").split(), 1):
            try:
                key = base64.b64decode(text, validate=True)
            except ValueError:
                key = b""
            if len(key) != 32:
                problems.append(f"DATA_KEYS: key {number} is not 32 bytes in base64.")
            data_keys.append(key)

        secret_key = environ.get("SECRET_KEY", "")
        database_url = environ.get("DATABASE_URL", "")
        base_url = environ.get("BASE_URL", "").rstrip("/")
        fallbacks = tuple(environ.get("SECRET_KEY_FALLBACKS", "").split())
        proxies = environ.get("PROXY_COUNT", "0")
        if not (proxies.isascii() and proxies.isdigit() and len(proxies) < 3):
            problems.append("PROXY_COUNT must say how many proxies stand in front, as in 1.")
        if environ.get("SMTP_URL") and urlsplit(environ["SMTP_URL"]).scheme not in ("smtp", "smtp+tls", "smtps"):
            problems.append("SMTP_URL must begin with smtp://, smtp+tls:// or smtps://.")
        if production:
            if not _is_random(secret_key):
                problems.append("SECRET_KEY must be set to at least 32 random characters.")
            if not all(_is_random(key) for key in fallbacks):
                problems.append(
                    "SECRET_KEY_FALLBACKS: whoever guesses an old key signs in as anybody; 32 random characters each."
                )
            if not database_url:
                problems.append("DATABASE_URL must be set.")
            if not base_url.startswith("https://") or not urlsplit(base_url).hostname or " " in base_url:
                problems.append("BASE_URL must be set to the https:// address that parents use.")
            if not data_keys:
                problems.append("DATA_KEYS must hold at least one key of 32 bytes in base64.")
            if not environ.get("SMTP_URL"):
                problems.append("SMTP_URL must be set: letters have to leave.")
            if clock_start is not None:
                problems.append("SHOP_CLOCK is for demonstrations: production runs on the real clock.")
            if environ.get("SANDBOX_SECRET"):
                problems.append("The sandbox gateway cannot be enabled in production (SANDBOX_SECRET is set).")
            if environ.get("STRIPE_SECRET_KEY") and not environ.get("STRIPE_WEBHOOK_SECRETS", "").strip():
                problems.append(
                    "STRIPE_WEBHOOK_SECRETS must be set with STRIPE_SECRET_KEY: unsigned events are refused."
                )
            if "STRIPE_API_BASE" in environ:
                problems.append("STRIPE_API_BASE is for tests: production talks to Stripe itself.")
        if database_url and not database_url.startswith(("postgresql://", "postgresql+psycopg://", "sqlite://")):
            problems.append("DATABASE_URL must begin with postgresql:// or sqlite://.")
        limiter_url = environ.get("LIMITER_URL") or "memory://"
        if not limiter_url.startswith(("memory://", "redis://", "rediss://")):
            problems.append("LIMITER_URL must begin with memory://, redis:// or rediss://.")
        if problems:
            raise ConfigurationRefused(problems)

        if not production:
            kept = LocalSecrets.kept_in(Path(environ.get("SHOP_VAR", ROOT / "var")))
            secret_key = secret_key or kept.secret_key
            data_keys = data_keys or [kept.data_key]
            database_url = database_url or f"sqlite:///{ROOT / 'var' / 'cantine.sqlite3'}"
            base_url = base_url or f"http://localhost:{environ.get('PORT', '5000')}"
        host = urlsplit(base_url).hostname or "localhost"
        listed = tuple(environ.get("TRUSTED_HOSTS", "").split())
        return cls(
            mode=mode,  # type: ignore[arg-type]
            database_url=database_url,
            base_url=base_url,
            secret_key=secret_key,
            secret_key_fallbacks=fallbacks,
            data_keys=tuple(data_keys),
            smtp_url=environ.get("SMTP_URL") or None,
            site_name=environ.get("SITE_NAME") or (DEMO_SITE_NAME if mode == "demo" else "Cantine Facile"),
            mail_from=environ.get("MAIL_FROM", f"ne-pas-repondre@{host if '.' in host else 'example.org'}"),
            clock_start=clock_start,
            trusted_hosts=listed or ((host,) if production else (host, "localhost", "127.0.0.1", "[::1]")),
            proxy_count=int(proxies),
            limiter_url=limiter_url,
            stripe_secret_key=environ.get("STRIPE_SECRET_KEY") or None,
            stripe_webhook_secrets=tuple(environ.get("STRIPE_WEBHOOK_SECRETS", "").split()),
            stripe_api_base=environ.get("STRIPE_API_BASE") or None,
            sandbox_secret="" if production else environ.get("SANDBOX_SECRET", secret_key),
            cheap_passwords=mode == "test",
        )


@dataclass(frozen=True)
class LocalSecrets:
    """The keys of a demonstration, made at its first start and kept beside its database."""

    secret_key: str
    data_key: bytes

    @classmethod
    def kept_in(cls, folder: Path) -> "LocalSecrets":
        """Read the keys from `folder`/keys, or make them there, readable by the owner alone."""
        path = folder / "keys"
        try:
            text = path.read_text()
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            text = f"{secrets.token_urlsafe(48)}\n{base64.b64encode(secrets.token_bytes(32)).decode()}\n"
            draft = path.with_suffix(f".{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(text)
            try:
                # A link refuses to replace: of two first starts at once, both then read the same keys.
                path.hardlink_to(draft)
            except FileExistsError:
                text = path.read_text()
            finally:
                draft.unlink()
        secret_key, data_key = text.split()
        return cls(secret_key, base64.b64decode(data_key))
