# FAKE values for local testing. Yours never go into git: docs/pillar.md says where they live.
secrets:
  shop:
    SECRET_KEY: fake-for-local-testing-only-0123456789abcdefghijklmnopqrstuvwxyz
