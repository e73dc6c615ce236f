{{ pillar.only }}-cache:
  double.words:
    - app: {{ pillar.only }}
    - step: {{ 'close-cache' if 'newest' in pillar else 'cache' }}
