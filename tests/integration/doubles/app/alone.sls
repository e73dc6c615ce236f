{{ pillar.only }}-retire:
  double.done:
    - app: {{ pillar.only }}
    - step: retire
    - release: {{ pillar.releases[pillar.only].id }}
