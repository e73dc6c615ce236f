from django.conf import settings

# The mistake of this release: it takes memory, and gives none back. It ends at 600 MB for the sake of hosts on which
# nothing limits it; that is far above what the shop needs.
LEAK = []
while len(LEAK) < 600:
    LEAK.append(b"x" * 2**20)


def release_header(get_response):
    """Name the release in every answer, redirects and errors included."""

    def middleware(request):
        response = get_response(request)
        response["X-Release"] = settings.RELEASE
        return response

    return middleware
