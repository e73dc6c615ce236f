#!py
# What a host tells of a process that died goes to rollout.died as it is, which checks it: no text of it is made part of
# a template here, where it could become an order.


def run():
    return {"died": {"runner.rollout.died": [{"args": [{"told": data}]}]}}
