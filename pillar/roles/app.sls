# What the hosts need that run apps: the secrets of the apps, and the passwords of their databases.
include:
  - secrets.shop
  - secrets.shop_database
