# FAKE value for local testing. In a file of its own because two roles need it: the app's hosts log in with it, and the
# cache's host lets them in.
passwords:
  cache:
    shop: fake-for-local-testing-and-for-the-cache-only
