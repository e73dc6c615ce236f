"""The key ``files`` of an app: what is made of it, and what is wrong with it."""

import pytest

import app_spec

HOST = {"web1": {"address": "10.0.0.11", "roles": ["app"]}}
APP = {"source": {"path": "/src"}, "revision": "v1", "domains": ["shop.example.com"], "database": "none"}
RELEASE = {"shop": {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f", "revision": "v1"}}
LOCAL = {"local_settings.py": {"into": "release", "contents": "X = 1\n"}}
NEWRELIC = {"newrelic.ini": {"source": "salt://shop/newrelic.ini", "variable": "NEW_RELIC_CONFIG_FILE"}}


def load(files, **app):
    return app_spec.load({"hosts": HOST, "apps": {"shop": {**APP, "files": files, **app}}, "releases": RELEASE}).apps[0]


def test_a_file_is_roots_and_the_apps_to_read_unless_the_pillar_says_otherwise():
    [file] = load(NEWRELIC).files
    assert (file.name, file.into, file.kind, file.origin) == (
        "newrelic.ini",
        "etc",
        "source",
        "salt://shop/newrelic.ini",
    )
    assert (file.owner, file.mode, file.secret, file.check) == ("root", 0o640, False, ())


def test_a_check_is_the_arguments_of_its_command():
    files = {"a.json": {"contents": "{}", "check": "python -m json.tool '{file}'"}}
    assert load(files).files[0].check == ("python", "-m", "json.tool", "{file}")


def test_a_release_without_files_of_the_pillar_runs_where_its_code_is():
    [release] = load(NEWRELIC).releases
    assert release.path == release.code == "/srv/shop/releases/1a2b3c4d5e6f"


def test_a_release_with_files_of_the_pillar_runs_in_a_copy_that_has_them():
    [release] = load(LOCAL).releases
    assert (release.code, release.path) == ("/srv/shop/releases/1a2b3c4d5e6f", "/srv/shop/furnished/1a2b3c4d5e6f")
    assert release.python == "/srv/shop/furnished/1a2b3c4d5e6f/.venv/bin/python"
    assert app_spec.with_release(load(LOCAL), "1a2b3c4d5e6f", "1a2b3c4d5e6f", "v1").releases == (release,)


def test_the_processes_of_a_slot_find_their_own_file_and_commands_that_of_the_pillar():
    app = load(NEWRELIC)
    assert app.variables["NEW_RELIC_CONFIG_FILE"] == "/etc/shop/newrelic.ini"
    sections = {slot.name: slot.section["environment"] for slot in app.slots}
    for slot in ("blue", "green"):
        assert f'NEW_RELIC_CONFIG_FILE="/etc/shop/files/{slot}/newrelic.ini"' in sections[slot]


def test_a_slot_starts_anew_when_a_file_changes_and_one_of_an_app_without_files_stays_as_it_is():
    assert "/etc/shop/files/set" in load(NEWRELIC).config_files
    assert "/etc/shop/files/set" not in load(LOCAL).config_files
    assert load({}).config_files == ("/etc/shop/gunicorn.conf.py", "/etc/shop/secrets.json")


def test_the_text_of_a_secret_file_is_not_shown():
    files = {"key.pem": {"contents": "hunter2", "secret": True}}
    assert "hunter2" not in repr(load(files)) + repr(app_spec.plain(load(files)))
    assert load(files).files[0].origin.reveal() == "hunter2"


WRONG = [
    ({"../x": {"contents": ""}}, "../x: '../x' is no path of a file: write it as newrelic.ini"),
    ({"/etc/x": {"contents": ""}}, "/etc/x: '/etc/x' is no path of a file"),
    ({"a/../../x": {"contents": ""}}, "a/../../x: 'a/../../x' is no path of a file"),
    ({"a": {}}, "a: needs one of contents, source, template and has none: keep or add one"),
    (
        {"a": {"contents": "", "source": "salt://a"}},
        "a: needs one of contents, source, template and has contents and source: keep",
    ),
    ({"a": {"source": "/srv/a"}}, "a:source: '/srv/a' is no file of the file server: write it as salt://shop/"),
    ({"a": {"template": "salt://x/../../a"}}, "a:template: 'salt://x/../../a' is no file of the file server"),
    ({"a": {"contents": ["hunter2"]}}, "a:contents: the value is not a text: write it in quotes, or its lines below"),
    ({"a": {"contents": "", "mode": 0o640}}, 'a:mode: 416 is no mode: write it as "0640", in quotes'),
    ({"a": {"contents": "", "mode": "0666"}}, "a:mode: '0666' is no mode"),
    ({"a": {"contents": "", "mode": "0600"}}, "a:mode: 0600 keeps the app from reading what is root's: write 0640, or"),
    ({"a": {"contents": "", "secret": True, "mode": "0644"}}, "a:mode: 0644 lets every user of the host read a secret"),
    (
        {"a": {"contents": "", "owner": "www-data"}},
        "a:owner: 'www-data' is neither root nor the user of the app: write",
    ),
    ({"a": {"contents": "", "secret": "yes"}}, "a:secret: 'yes' is no true or false: write true or false"),
    ({"a": {"contents": "", "check": "true"}}, "a:check: 'true' is no command with `{file}`: write one command with"),
    ({"a": {"contents": "", "into": "home"}}, "a:into: 'home' is not one of etc, release"),
    ({"a": {"contents": ""}, "a/b": {"contents": ""}}, "a/b: a is a file itself: choose another name"),
    (
        {"a": {"contents": "", "into": "release", "variable": "A"}},
        "a:variable: a file in the release is found in its own folder: leave it out",
    ),
    ({"a": {"contents": "", "variable": "TAKEN"}}, "a:variable: TAKEN is taken by variables: choose another"),
    (
        {"a": {"contents": "", "variable": "A"}, "b": {"contents": "", "variable": "A"}},
        "b:variable: A is taken by files:a: choose another",
    ),
    ({"a": {"contents": "", "variable": "SECRETS_FILE"}}, "a:variable: SECRETS_FILE is taken by Slipway itself"),
]


@pytest.mark.parametrize(("files", "problem"), WRONG, ids=[problem[:40] for _, problem in WRONG])
def test_a_mistake_is_told_with_its_key_and_what_to_do(files, problem):
    with pytest.raises(app_spec.SpecError) as error:
        load(files, variables={"TAKEN": "x"})
    [line] = str(error.value).splitlines()
    assert line.startswith(f"apps:shop:files:{problem}")
    assert "hunter2" not in line


@pytest.mark.parametrize("mode", ["0400", "0600"])
def test_a_file_that_its_program_wants_for_itself_alone_can_be_the_users(mode):
    files = {".pgpass": {"contents": "", "owner": "shop", "mode": mode, "secret": True}}
    assert load(files).files[0].mode == int(mode, 8)


@pytest.mark.parametrize("name", ["secrets.json", "secrets.ini", "files/a", "deploy_key", "uwsgi.ini", "wsgi.py"])
def test_what_slipway_has_in_etc_itself_is_no_name_of_a_file(name):
    with pytest.raises(app_spec.SpecError, match="is Slipway's own there: choose another name"):
        load({name: {"contents": ""}})


def test_a_file_is_not_the_secrets_file_wherever_that_is():
    with pytest.raises(app_spec.SpecError, match="/etc/shop/settings.ini is the secrets file: choose another name"):
        load({"settings.ini": {"contents": ""}}, secrets={"format": "ini", "path": "/etc/shop/settings.ini"})


@pytest.mark.parametrize("name", [".venv/x", ".venv.1f2e", ".release", ".static", ".inputs.json", ".app_files.json"])
def test_what_slipway_has_in_a_release_itself_is_no_name_of_a_file(name):
    with pytest.raises(app_spec.SpecError, match="is Slipway's own there: choose another name"):
        load({name: {"into": "release", "contents": ""}})
    assert load({"wsgi.py": {"into": "release", "contents": ""}}).files
