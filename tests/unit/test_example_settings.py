"""The example's production settings: silent with a complete secrets file, clear with an incomplete one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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

    def run(secrets):
        path = tmp_path / "secrets.json"
        path.write_text(json.dumps(secrets))
        command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "INFO"]
        variables = {"DJANGO_SETTINGS_MODULE": "shop.settings.production", "SECRETS_FILE": str(path)}
        variables["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.run(command, cwd=SHOP, env=os.environ | variables, capture_output=True, text=True)

    return run


def test_the_deployment_check_is_silent(check):
    answer = check(SECRETS)
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.parametrize("key", SECRETS)
def test_a_missing_secret_names_key_and_file(check, tmp_path, key):
    answer = check({name: value for name, value in SECRETS.items() if name != key})
    assert answer.returncode != 0
    assert f"The key {key} is missing in the secrets file {tmp_path / 'secrets.json'}" in answer.stderr


def test_an_app_without_tls_can_say_so(check):
    answer = check(SECRETS | {"SECURE_SSL_REDIRECT": False})
    assert "security.W008" in answer.stderr


def test_an_unencoded_database_password_is_not_shown(check):
    answer = check(SECRETS | {"DATABASE_URL": "postgresql://shop:hunter2/x@db1/shop"})
    assert "percent-encode the user and the password" in answer.stderr
    assert "hunter2" not in answer.stderr
