shop-on:
  double.done:
    - app: {{ pillar.only }}
    - step: maintenance-on
    - release: {{ pillar.only }} but for {{ pillar.allow | join(' ') }}
