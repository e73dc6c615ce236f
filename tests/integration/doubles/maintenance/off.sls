shop-off:
  double.done:
    - step: maintenance-off
    - release: {{ pillar.only }} but for {{ pillar.allow | join(' ') }}
