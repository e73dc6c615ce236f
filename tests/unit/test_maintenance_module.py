import pytest

import app_spec


@pytest.fixture
def closed_for(load, tmp_path):
    """``closed_for("shop")`` on a host where the flag of the app ``shop`` says what the test writes into it."""
    apps = [{"app": "blog", "flag": str(tmp_path / "blog")}, {"app": "shop", "flag": str(tmp_path / "on")}]
    return load("_modules/maintenance.py", salt={"apps.maintenance": lambda: apps}).closed_for


@pytest.mark.parametrize("app", ["shop", "of another host"])
def test_an_app_that_is_open_is_closed_for_nothing(closed_for, app):
    assert closed_for(app) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "maintenance"),
        (app_spec.CLOSED_BY, "maintenance"),
        (app_spec.CLOSED_BY + app_spec.CLOSED_FOR_RESTORE, "restore"),
    ],
)
def test_the_flag_says_why_an_app_is_closed(closed_for, tmp_path, text, reason):
    (tmp_path / "on").write_text(text)
    assert closed_for("shop") == reason
