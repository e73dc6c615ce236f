import os

from django.core.cache import caches
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")

application = get_wsgi_application()

# What takes long to import, as Redis's client does, is imported before the first visitor of a release is there.
caches.all()
