import time

from django.conf import settings

SECONDS = 1.2


def release_header(get_response):
    """Name the release in every answer, redirects and errors included."""

    def middleware(request):
        # The mistake of this release: the first page takes its time; the health page does not.
        if request.path == "/":
            time.sleep(SECONDS)
        response = get_response(request)
        response["X-Release"] = settings.RELEASE
        return response

    return middleware
