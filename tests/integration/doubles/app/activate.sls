shop-activate:
  double.done:
    - step: activate
    - release: {{ pillar.releases.shop.id }}
