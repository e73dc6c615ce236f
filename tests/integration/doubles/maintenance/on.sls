shop-on:
  double.done:
    - app: {{ pillar.only }}
    - step: maintenance-on
    - release: {{ pillar.only }} but for {{ pillar.get('allow', []) | join(' ') }}
    - closed_for: {{ pillar.get('closed_for', 'maintenance') }}
