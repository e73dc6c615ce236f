{{ pillar.only }}-migrate:
  double.done:
    - app: {{ pillar.only }}
    - step: migrate
    - release: {{ pillar.releases[pillar.only].id }}
