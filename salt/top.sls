# Every host gets what every host needs, and one folder of states for each role that the inventory gives it.
base:
  '*':
    - host
{% for role in salt['apps.roles']() %}
    - {{ role }}
{% endfor %}
