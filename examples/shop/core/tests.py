import json
import tempfile
from pathlib import Path
from unittest import mock

from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError
from django.test import SimpleTestCase, TestCase, override_settings

from core.config import database, read_secrets, release_id


class SecretsTest(SimpleTestCase):
    def read(self, text):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.path = Path(folder) / "secrets.json"
        self.path.write_text(text)
        with mock.patch.dict("os.environ", SECRETS_FILE=str(self.path)):
            return read_secrets()

    def test_values_are_read(self):
        self.assertEqual(self.read(json.dumps({"SECRET_KEY": "ä"}))["SECRET_KEY"], "ä")

    def test_a_missing_key_names_key_and_file(self):
        secrets = self.read("{}")
        with self.assertRaisesMessage(ImproperlyConfigured, f"SECRET_KEY is missing in the secrets file {self.path}"):
            secrets["SECRET_KEY"]

    def test_get_has_a_default(self):
        self.assertIs(self.read("{}").get("SECURE_SSL_REDIRECT", True), True)

    def test_values_are_not_shown(self):
        self.assertNotIn("hunter2", repr(self.read('{"SECRET_KEY": "hunter2"}')))

    def test_a_file_that_is_no_json_object_is_named_and_not_shown(self):
        for text in ('{"SECRET_KEY": hunter2}', "[1]", "null"):
            with self.subTest(text), self.assertRaisesMessage(ImproperlyConfigured, "is not a JSON object") as caught:
                self.read(text)
            self.assertIsNone(caught.exception.__cause__)
            self.assertNotIn("hunter2", str(caught.exception))

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
