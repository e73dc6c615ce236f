{{ pillar.only }}-activate:
  double.active:
    - app: {{ pillar.only }}
    - step: {{ 'use' if 'newest' in pillar else 'activate' }}
    - release: {{ pillar.releases[pillar.only].id }}
