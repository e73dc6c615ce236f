# Every host gets one folder of states for each role that the inventory gives it, and pulls if the pillar says so.
base:
  '*':
{% for role in salt['apps.roles']() %}
    - {{ role }}
{% endfor %}
    - pull
