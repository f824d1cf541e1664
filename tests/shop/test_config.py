"""What the shop refuses to start with, every reason at once."""

import base64

import pytest

from shop.config import Config, ConfigurationRefused

PRODUCTION = {
    "SHOP_ENV": "production",
    "SECRET_KEY": "q8Jx2-vLr0ZtYb6WkN4sHd9EoPmCgUa1TfIy5RnXwQ",
    "DATABASE_URL": "postgresql://shop@localhost/shop",
    "BASE_URL": "https://cantine.example.org",
    "DATA_KEYS": base64.b64encode(b"thirty-two bytes for the tests!!").decode(),
    "SMTP_URL": "smtps://mail.example.org",
}


def test_production_starts_with_all_of_it() -> None:
    config = Config.from_environ(PRODUCTION)
    assert config.production
    assert config.secure_cookies
    assert config.trusted_hosts == ("cantine.example.org",)
    assert config.sandbox_secret == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short"),
        ("SECRET_KEY", "changeme" * 8),
        ("SECRET_KEY_FALLBACKS", "a"),
        ("SECRET_KEY_FALLBACKS", "x" * 64),
        ("DATABASE_URL", ""),
        ("BASE_URL", ""),
        ("BASE_URL", "http://cantine.example.org"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://cantine example"),
        ("DATA_KEYS", ""),
        ("DATA_KEYS", "bm90IDMyIGJ5dGVz"),
        ("DATA_KEYS", "é"),
        ("SMTP_URL", ""),
        ("SMTP_URL", "mail.example.org"),
        ("SHOP_CLOCK", "2026-11-19T08:00+01:00"),
        ("SANDBOX_SECRET", "a secret"),
        ("STRIPE_API_BASE", ""),
        ("PROXY_COUNT", "one"),
        ("PROXY_COUNT", "-1"),
        ("PROXY_COUNT", "²"),
        ("SHOP_ENV", "prod"),
    ],
)
def test_production_refuses_what_is_unsafe(name: str, value: str) -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        Config.from_environ(PRODUCTION | {name: value})
    assert len(refused.value.problems) == 1
    assert name in refused.value.problems[0]
    if name in ("SECRET_KEY", "DATA_KEYS"):
        assert not value or value not in refused.value.problems[0]


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigurationRefused) as refused:
        Config.from_environ({"SHOP_ENV": "production"})
    assert len(refused.value.problems) == 5
