# The inventory as every host gets it. Edit hosts.yaml.
{% import_yaml "hosts.yaml" as hosts %}
hosts: {{ hosts | json(sort_keys=False) }}
