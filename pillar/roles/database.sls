# What the hosts need that serve databases: the passwords of the databases' users, and nothing else of the apps.
include:
  - secrets.shop_database
