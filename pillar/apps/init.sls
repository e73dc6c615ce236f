# One file for each app. docs/pillar.md explains every key.
include:
  - apps.shop
