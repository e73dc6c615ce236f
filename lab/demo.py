"""The demo: the hosts of the inventory, set up and serving the example project, by two orchestrations."""

def run(lab):
    lab.up()
    return 0
