shop-stage:
  double.done:
    - step: stage
    - release: {{ pillar.releases.shop.id }}
