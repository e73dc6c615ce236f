# Everything of the apps on this host, in the order in which a release reaches its users.
include:
  - host
{% for manager in salt['apps.managers']() %}
  - {{ manager }}
{% endfor %}
  - app.config
{% for front in salt['apps.fronts']() %}
  - app.site_{{ front }}
{% endfor %}
  - app.stage
  - app.migrate
  - app.activate
  - app.retire

{% for name in salt['apps.left_alone']() %}
{{ name }}-left-alone:
  test.show_notification:
    - text: a rollout is bringing a release of {{ name }} to its hosts; nothing else of it is touched meanwhile
{% endfor %}

# Here the stages run one after the other, and each needs the one before. An orchestration applies them one by one,
# because it has all hosts wait between them.
extend: {
{% for app in salt['apps.specs']() %}{% for release in app.releases %}
  {{ app.name }}-migrated: {manage: [{require: [{manage: {{ app.name }}-checked}, {manage: {{ app.name }}-static}]}]},
  {{ app.name }}-active: {slot: [
    {require: [{manage: {{ app.name }}-migrated}]},
    {watch: [{app_files: {{ app.name }}-files}, {app_files: {{ app.name }}-release-files}]}]},
  {{ app.name }}-static-shared: {manage: [{watch: [{app_files: {{ app.name }}-release-files}]}]},
  {{ app.name }}-retired: {slot: [{watch: [{slot: {{ app.name }}-active}]}]},
{% endfor %}{% endfor %}
  }
