# FAKE value for local testing. In a file of its own because two roles need it: the app's hosts log in with it, and the
# database's host gives it to the user.
passwords:
  database:
    shop: fake-for-local-testing-only
