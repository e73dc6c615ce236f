shop-retire:
  double.done:
    - step: retire
    - release: {{ pillar.releases.shop.id }}
