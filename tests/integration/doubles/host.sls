host:
  double.done:
    - app: shop
    - step: highstate
    - release: none
