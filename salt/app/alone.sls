# Nothing of an app runs but what has the traffic: what has its old secrets ends at once.
include:
  - app.activate
  - app.retire

extend: {
{% for app in salt['apps.specs']() %}{% for release in app.releases %}
  {{ app.name }}-retired: {slot: [{watch: [{slot: {{ app.name }}-active}]}]},
{% endfor %}{% endfor %}
  }
