"""Ansible and pyinfra on the same host, with the same resources under another name (rivals/)."""

import json

from labs import TREE, ask

HOME = "/opt/rivals"
HERE = TREE / "bench/rivals"
COPIES = ("app", "nginx", "supervisor")

PLAYBOOK = [f"{HOME}/bin/ansible-playbook", "-i", "localhost,", "-e", f"@{HOME}/ansible.json", f"{HOME}/ansible.yml"]
DEPLOY = [f"{HOME}/bin/pyinfra", "--yes", "@local", f"{HOME}/deploy.py"]


def install(lab, host):
    """Put both tools, what they are to do and Slipway's own templates on ``host``, and return their versions."""
    python = f"{HOME}/bin/python"
    lab.run(host, ["/opt/uv/bin/uv", "venv", "--quiet", "--clear", HOME])
    _copy(lab, host, "requirements.txt", (HERE / "requirements.txt").read_text())
    # with bytecode, as Salt is installed in the lab
    argv = ["/opt/uv/bin/uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    lab.run(host, [*argv, "-r", f"{HOME}/requirements.txt"])
    for name in ("ansible.yml", "deploy.py"):
        _copy(lab, host, name, (HERE / name).read_text())
    for file in (file for folder in COPIES for file in (TREE / "salt" / folder).rglob("*.*") if file.is_file()):
        _copy(lab, host, f"tree/{file.relative_to(TREE / 'salt')}", file.read_text())
    for name in ("ansible", "pyinfra"):
        _copy(lab, host, f"{name}.json", json.dumps(given(lab, host, name)))
    return lab.run(host, ["/opt/uv/bin/uv", "pip", "freeze", "--python", python]).stdout


def given(lab, host, name):
    """The example app as Slipway sees it on ``host``, called ``name``; what the secrets are is of no matter."""
    text = json.dumps(ask(lab, host, "apps.spec", "shop"))
    for folder in ("/srv", "/etc", "/var/log"):
        text = text.replace(f"{folder}/shop", f"{folder}/{name}")
    app = json.loads(text) | dict.fromkeys(("name", "user", "group"), name)
    text = (TREE / "examples/shop/requirements.txt").read_text()
    # pyinfra compares names as `pip freeze` prints them, and installs again what differs
    for written, printed in (("prompt-toolkit", "prompt_toolkit"), ("typing-extensions", "typing_extensions")):
        text = text.replace(written, printed)
    return {
        "app": app,
        "proxies": ask(lab, host, "apps.proxies"),
        "certificates": ask(lab, host, "apps.tls"),
        "requirements": [line for line in text.split() if "==" in line],
        "secrets": {"SECRET_KEY": "fake", "ALLOWED_HOSTS": app["domains"]},
        "tree": f"{HOME}/tree",
    }


def nothing_changed(output):
    """Whether the run that printed ``output`` found everything as it should be."""
    return "changed=0 " in output if "PLAY RECAP" in output else "Success" not in output.partition("Results:")[0]


def _copy(lab, host, name, text):
    path = f"{HOME}/{name}"
    lab.run(host, ["install", "-D", "/dev/stdin", path], input=text)
