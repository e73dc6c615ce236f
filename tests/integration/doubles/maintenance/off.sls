shop-off:
  double.done:
    - app: {{ pillar.only }}
    - step: maintenance-off
    - release: {{ pillar.only }} but for {{ pillar.get('allow', []) | join(' ') }}
    - closed_for: ""
