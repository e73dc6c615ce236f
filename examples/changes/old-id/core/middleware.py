def release_header(get_response):
    """The mistake of this release: it answers well, in the name of another release."""

    def middleware(request):
        response = get_response(request)
        response["X-Release"] = "000000000000"
        return response

    return middleware
