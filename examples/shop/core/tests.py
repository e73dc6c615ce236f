import tempfile
from pathlib import Path
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import SimpleTestCase, TestCase, override_settings

from core.caches import OptionalRedisCache
from core.config import cache, database, release_id
from core.readers import READERS, read_secrets

# The same values as each format has them; only some know numbers, true, lists and mappings.
FILES = {
    ".json": """{"SECRET_KEY": "hunter2 'ä' %s", "HOSTS": ["a", "b"], "DEBUG": false, "MAIL": {"PORT": 25}}""",
    ".toml": """SECRET_KEY = "hunter2 'ä' %s"\nHOSTS = ["a", "b"]\nDEBUG = false\nMAIL = {PORT = 25}\n""",
    ".ini": "[settings]\nSECRET_KEY = hunter2 'ä' %s\nHOSTS = a,b\nDEBUG = false\n\n[MAIL]\nPORT = 25\n",
    ".env": """# comment\nSECRET_KEY="hunter2 'ä' %s"\nHOSTS=a,b\nDEBUG=false\nMAIL='{"PORT": 25}'\n""",
    ".xml": """<?xml version="1.0" encoding="utf-8"?>
        <settings>
          <SECRET_KEY>hunter2 'ä' %s</SECRET_KEY>
          <HOSTS type="list"><item>a</item><item>b</item></HOSTS>
          <DEBUG type="boolean">false</DEBUG>
          <MAIL type="mapping"><PORT type="number">25</PORT></MAIL>
        </settings>""",
}
FILES[".cfg"] = FILES[".ini"]
MAIL = {".ini": {"PORT": "25"}, ".cfg": {"PORT": "25"}, ".env": '{"PORT": 25}'}


class SecretsTest(SimpleTestCase):
    def read(self, text, ending=".json"):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.path = Path(folder) / f"secrets{ending}"
        self.path.write_text(text, encoding="utf-8")
        with mock.patch.dict("os.environ", SECRETS_FILE=str(self.path)):
            return read_secrets()

    def test_every_format_gives_the_same_values(self):
        for ending in READERS:
            with self.subTest(ending):
                secrets = self.read(FILES[ending], ending)
                self.assertEqual(secrets["SECRET_KEY"], "hunter2 'ä' %s")
                self.assertEqual(secrets.words("HOSTS"), ["a", "b"])
                self.assertIs(secrets.flag("DEBUG", True), False)
                self.assertEqual(secrets["MAIL"], MAIL.get(ending, {"PORT": 25}))

    def test_a_missing_key_names_key_and_file(self):
        for ending in READERS:
            secrets = self.read(FILES[ending], ending)
            for ask in (secrets.__getitem__, secrets.words):
                expected = f"The key NO_KEY is missing in the secrets file {self.path}"
                with self.subTest(ending), self.assertRaisesMessage(ImproperlyConfigured, expected):
                    ask("NO_KEY")

    def test_what_need_not_be_there_has_a_default(self):
        secrets = self.read("{}")
        self.assertIs(secrets.flag("SECURE_SSL_REDIRECT", True), True)
        self.assertEqual(secrets.words("SECRET_KEY_FALLBACKS", []), [])

    def test_no_words_are_an_empty_list(self):
        self.assertEqual(self.read("[settings]\nHOSTS =\n", ".ini").words("HOSTS"), [])

    def test_a_flag_that_is_none_names_key_and_file_and_not_the_value(self):
        secrets = self.read("DEBUG=hunter2", ".env")
        with self.assertRaisesMessage(ImproperlyConfigured, f"The key DEBUG in the secrets file {self.path}") as caught:
            secrets.flag("DEBUG", True)
        self.assertNotIn("hunter2", str(caught.exception))

    def test_values_are_not_shown(self):
        self.assertNotIn("hunter2", repr(self.read('{"SECRET_KEY": "hunter2"}')))

    def test_a_file_in_another_format_is_named_and_not_shown(self):
        broken = {".json": '{"SECRET_KEY": hunter2}', ".toml": "SECRET_KEY = hunter2", ".ini": "SECRET_KEY = hunter2"}
        broken |= {".cfg": "[other]\nSECRET_KEY = hunter2", ".xml": "<settings>hunter2", ".env": "SECRET_KEY='hunter2"}
        for ending, text in [*broken.items(), (".json", "[1]"), (".json", "null")]:
            expected = f"{ending} is not what its ending says"
            with self.subTest(text), self.assertRaisesMessage(ImproperlyConfigured, expected) as caught:
                self.read(text, ending)
            self.assertIsNone(caught.exception.__cause__)
            self.assertNotIn("hunter2", str(caught.exception))

    def test_an_ending_that_no_reader_knows_is_told(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "secrets.yaml must end with one of .json, .toml, .ini"):
            self.read("hunter2", ".yaml")

    @mock.patch.dict("os.environ", SECRETS_FILE="/nowhere/secrets.json")
    def test_an_absent_file_is_named(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "/nowhere/secrets.json cannot be read: No such file"):
            read_secrets()

    @mock.patch.dict("os.environ", clear=True)
    def test_an_absent_variable_is_named(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "SECRETS_FILE"):
            read_secrets()


class DatabaseTest(SimpleTestCase):
    def test_parts_are_percent_decoded(self):
        settings = database("postgresql://shop:p%40ss%2Fw%C3%B6rd%25@db1:5433/shop%20db")
        self.assertEqual(settings["ENGINE"], "django.db.backends.postgresql")
        self.assertEqual(settings["PASSWORD"], "p@ss/wörd%")
        self.assertEqual((settings["USER"], settings["HOST"], settings["PORT"]), ("shop", "db1", 5433))
        self.assertEqual(settings["NAME"], "shop db")

    def test_sqlite_has_an_absolute_path(self):
        self.assertEqual(database("sqlite:////tmp/shop.db")["NAME"], "/tmp/shop.db")

    def test_an_unknown_scheme_is_refused(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "postgresql, sqlite"):
            database("oracle://db1/shop")

    def test_a_password_that_is_not_encoded_is_refused_and_not_shown(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "percent-encode") as caught:
            database("postgresql://shop:hunter2/x@db1/shop")
        self.assertNotIn("hunter2", str(caught.exception))


class CacheTest(SimpleTestCase):
    def test_the_user_is_what_every_key_begins_with(self):
        settings = cache("rediss://shop:p%40ss@db1:6379/0?ssl_cert_reqs=none")
        self.assertEqual((settings["KEY_PREFIX"], settings["BACKEND"]), ("shop", "core.caches.OptionalRedisCache"))

    def test_without_a_url_it_is_in_the_memory_of_the_process(self):
        self.assertEqual(cache(None), {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"})

    def test_a_password_that_is_not_encoded_is_refused_and_not_shown(self):
        with self.assertRaisesMessage(ImproperlyConfigured, "percent-encode") as caught:
            cache("rediss://shop:hunter2[@db1/0")
        self.assertNotIn("hunter2", str(caught.exception))

    def test_a_redis_that_does_not_answer_is_asked_once_and_then_left_alone_for_a_while(self):
        self.addCleanup(setattr, OptionalRedisCache, "asked_again_at", 0)
        # Nobody listens on port 1.
        settings = cache("rediss://shop:hunter2@127.0.0.1:1/0?ssl_cert_reqs=none")
        one = OptionalRedisCache(settings["LOCATION"], {"OPTIONS": settings["OPTIONS"]})
        with self.assertLogs("core.caches", "ERROR") as logs:
            self.assertEqual(one.get_or_set("a", lambda: "computed"), "computed")
        self.assertEqual((one.get("a"), one.add("a", 1), one.set("a", 1), one.delete("a")), (None, False, None, False))
        self.assertEqual(len(logs.output), 1)
        self.assertNotIn("hunter2", logs.output[0])


class ReleaseTest(SimpleTestCase):
    def test_the_file_names_it(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.assertEqual(release_id(folder), "development")
        Path(folder, ".release").write_text("1a2b3c4d5e6f\n")
        self.assertEqual(release_id(folder), "1a2b3c4d5e6f")


@override_settings(RELEASE="1a2b3c4d5e6f")
class HealthTest(TestCase):
    def test_it_names_the_release(self):
        response = self.client.get("/healthz/")
        self.assertEqual(response.json(), {"release": "1a2b3c4d5e6f", "database": "ok"})
        self.assertEqual(response["X-Release"], "1a2b3c4d5e6f")

    def test_a_failing_database_answers_503(self):
        with (
            mock.patch("core.views.connection.cursor", side_effect=OperationalError),
            self.assertLogs("core.views", "CRITICAL"),
            self.assertLogs("django.request", "ERROR"),
        ):
            response = self.client.get("/healthz/")
        self.assertEqual(response.status_code, 503)
        self.assertEqual(response.json(), {"release": "1a2b3c4d5e6f", "database": "failed"})
        self.assertEqual(response["X-Release"], "1a2b3c4d5e6f")
