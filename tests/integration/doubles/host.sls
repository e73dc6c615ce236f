host:
  double.done:
    - step: highstate
    - release: none
