# Every host gets one folder of states for each role that the inventory gives it.
base:
  '*':
{% for role in salt['apps.roles']() %}
    - {{ role }}
{% endfor %}
