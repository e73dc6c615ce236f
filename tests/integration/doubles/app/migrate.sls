shop-migrate:
  double.done:
    - step: migrate
    - release: {{ pillar.releases.shop.id }}
