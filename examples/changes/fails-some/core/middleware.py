import itertools

from django.conf import settings
from django.http import HttpResponseServerError

EACH = 10


def release_header(get_response):
    """Name the release in every answer, redirects and errors included."""
    counter = itertools.count(1)

    def middleware(request):
        response = get_response(request)
        # The mistake of this release: every tenth request is an error, but never one for the health page.
        if request.path != "/healthz/" and next(counter) % EACH == 0:
            response = HttpResponseServerError("No page just now")
        response["X-Release"] = settings.RELEASE
        return response

    return middleware
