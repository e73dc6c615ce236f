{{ pillar.only }}-stage:
  double.done:
    - app: {{ pillar.only }}
    - step: stage
    - release: {{ pillar.releases[pillar.only].id }}
