shop-on:
  double.done:
    - step: maintenance-on
    - release: {{ pillar.only }} but for {{ pillar.allow | join(' ') }}
