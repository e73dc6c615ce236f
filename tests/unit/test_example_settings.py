"""The example's settings for servers: silent with complete secrets, clear with incomplete ones, whatever the format."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import launch
import secret_formats

pytest.importorskip("django")

SHOP = Path(__file__).parents[2] / "examples" / "shop"
SECRETS = {
    "SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP",
    "ALLOWED_HOSTS": ["shop.example.com"],
    "DATABASE_URL": "sqlite:////nowhere/shop.db",
}


@pytest.fixture
def check(tmp_path):
    """``check(secrets)`` runs ``manage.py check --deploy`` with them and returns the finished process."""

    def run(secrets, format="json"):
        path = tmp_path / f"secrets.{format}"
        path.write_text(secret_formats.dump(format, secrets), encoding="utf-8")
        return checked("production", SECRETS_FILE=str(path))

    return run


def checked(settings, *before, **variables):
    command = [*before, sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"]
    variables |= {"DJANGO_SETTINGS_MODULE": f"shop.settings.{settings}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=SHOP, env=os.environ | variables, capture_output=True, text=True)


@pytest.mark.parametrize("format", secret_formats.FILES)
def test_the_deployment_check_is_silent_in_every_format(check, format):
    answer = check(SECRETS, format)
    assert (answer.returncode, answer.stderr) == (0, "")


def test_the_shop_that_knows_no_file_finds_its_values_in_the_environment(tmp_path):
    path = tmp_path / "environment.json"
    path.write_text(secret_formats.dump("environment", SECRETS), encoding="utf-8")
    launcher = sys.executable, "-I", launch.__file__
    answer = checked("environment", *launcher, ENVIRONMENT_FILE=str(path))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "KeyError: 'SECRET_KEY'" in checked("environment").stderr


@pytest.mark.parametrize("key", SECRETS)
def test_a_missing_secret_names_key_and_file(check, tmp_path, key):
    answer = check({name: value for name, value in SECRETS.items() if name != key})
    assert answer.returncode != 0
    assert f"The key {key} is missing in the secrets file {tmp_path / 'secrets.json'}" in answer.stderr


@pytest.mark.parametrize("format", ["json", "env"])
def test_an_app_without_tls_can_say_so(check, format):
    answer = check(SECRETS | {"SECURE_SSL_REDIRECT": False}, format)
    assert "security.W008" in answer.stderr


def test_an_unencoded_database_password_is_not_shown(check):
    answer = check(SECRETS | {"DATABASE_URL": "postgresql://shop:hunter2/x@db1/shop"})
    assert "percent-encode the user and the password" in answer.stderr
    assert "hunter2" not in answer.stderr
