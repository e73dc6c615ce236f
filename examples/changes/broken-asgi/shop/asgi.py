import os

# The mistake of this release: the module is in no requirements.txt, so no worker can start.
import tea_analytics  # noqa: F401
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings.production")

application = get_asgi_application()
