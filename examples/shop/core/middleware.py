from django.conf import settings


def release_header(get_response):
    """Name the release in every answer, redirects and errors included."""

    def middleware(request):
        response = get_response(request)
        response["X-Release"] = settings.RELEASE
        return response

    return middleware
