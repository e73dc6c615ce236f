import logging

from django.conf import settings
from django.db import Error, connection
from django.http import JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)


@never_cache
@require_safe
def healthz(request):
    """Answer 200 when this release can do its work, 503 when its database fails."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        logger.critical("The database does not answer", exc_info=True)
        return JsonResponse({"release": settings.RELEASE, "database": "failed"}, status=503)
    return JsonResponse({"release": settings.RELEASE, "database": "ok"})
