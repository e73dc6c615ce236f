{{ pillar.only }}-database:
  double.logins:
    - app: {{ pillar.only }}
    - step: {{ 'close' if 'newest' in pillar else 'database' }}
