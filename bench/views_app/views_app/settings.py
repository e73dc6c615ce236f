"""Settings of the benchmark's app; what differs from run to run is in the environment."""

import os
from pathlib import Path

SECRET_KEY = "of no use outside the benchmark"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "views_app.urls"
WSGI_APPLICATION = "views_app.wsgi:application"
ASGI_APPLICATION = "views_app.asgi:application"
INSTALLED_APPS = ["views_app"]
# What `startproject` puts there, but for sessions and users, which would ask the database in each view.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "postgres",
        "HOST": "127.0.0.1",
        "PORT": os.environ["BENCH_DATABASE_PORT"],
        # With ASGI each request has a thread of its own, and a connection that is kept would be lost with it: Django's
        # documentation, "Databases", persistent connections.
        "CONN_MAX_AGE": 0 if os.environ.get("BENCH_INTERFACE") == "asgi" else 60,
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
