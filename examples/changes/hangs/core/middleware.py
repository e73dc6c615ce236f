import time

# The mistake of this release: whatever server imports the application waits here for what never comes.
time.sleep(3600)


def release_header(get_response):
    return get_response
