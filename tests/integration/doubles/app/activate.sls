{{ pillar.only }}-activate:
  double.done:
    - app: {{ pillar.only }}
    - step: activate
    - release: {{ pillar.releases[pillar.only].id }}
