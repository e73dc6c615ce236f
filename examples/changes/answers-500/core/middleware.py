from django.conf import settings
from django.http import HttpResponseServerError


def release_header(get_response):
    """The mistake of this release: it starts, and every page is an error."""

    def middleware(request):
        return HttpResponseServerError("No page today", headers={"X-Release": settings.RELEASE})

    return middleware
