# Every host gets the inventory and the apps. What its roles need besides (roles/<role>.sls: the secrets) it gets by its
# minion id, the one thing about a minion that the master can prove; never by another grain. `list` matches an id as it is.
{% import_yaml "hosts.yaml" as hosts %}
base:
  '*':
    - hosts
    - apps
{% for name, host in hosts.items() %}
  {{ name | json }}:
    - match: list
{% for role in host.roles %}
    - roles.{{ role }}
{% endfor %}
{% endfor %}
