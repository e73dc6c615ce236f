"""The resources of an app host, as someone who knows pyinfra writes them; compare ansible.yml."""

import io
import json
from pathlib import Path

from pyinfra import host
from pyinfra.facts.server import Command
from pyinfra.operations import apt, files, git, pip, server, systemd

given = json.loads(Path(__file__).with_name("pyinfra.json").read_text())
app, tree = given["app"], given["tree"]
paths = app["paths"]

apt.packages(
    name="packages",
    packages=["ca-certificates", "curl", "git", "openssh-client", "python3", "python3-venv", "nginx", "supervisor"],
)
files.file(name="uv is there", path="/opt/uv/bin/uv", mode="755")

server.group(name="group", group=app["group"], system=True)
server.user(
    name="user",
    user=app["user"],
    group=app["group"],
    system=True,
    home=paths["home"],
    ensure_home=False,
    shell="/usr/sbin/nologin",
)

for path in (paths["home"], paths["releases"], paths["slots"], paths["static"], paths["etc"], f"{paths['etc']}/sites"):
    files.directory(name=path, path=path, user="root", group="root", mode="755")
for path in (paths["run"], paths["media"]):
    files.directory(name=path, path=path, user=app["user"], group="www-data", mode="2750")
files.directory(name="logs", path=paths["logs"], user="root", group="adm", mode="750")

for source, target, mode in (
    ("supervisor/start-active.sh", "start-active", "755"),
    ("supervisor/after-start.conf", "after-start.conf", "644"),
    ("nginx/check.sh", "nginx-check", "755"),
):
    files.put(name=target, src=f"{tree}/{source}", dest=f"{paths['etc']}/{target}", mode=mode)

for source, target, mode in (
    ("nginx/nginx.conf", f"{paths['etc']}/nginx.conf", "644"),
    ("app/site_nginx.conf", f"{paths['etc']}/site.conf", "644"),
    ("app/servers/gunicorn.conf.py", app["web"]["files"][0]["path"], "640"),
):
    files.template(
        name=target,
        src=f"{tree}/{source}",
        dest=target,
        mode=mode,
        app=app,
        proxies=given["proxies"],
        certificates=given["certificates"],
        web=app["web"],
    )

files.put(
    name="secrets",
    src=io.StringIO(json.dumps(given["secrets"])),
    dest=app["secrets_files"][0]["path"],
    group=app["group"],
    mode="640",
)
git.repo(name="code", src=app["source"]["url"], dest=f"{paths['home']}/code", pull=False)
pip.venv(name="venv", path=f"{paths['home']}/venv", python="python3")
pip.packages(name="requirements", packages=given["requirements"], virtualenv=f"{paths['home']}/venv")

for slot in app["slots"]:
    lines = [f"[program:{slot['program']}]", *(f"{key}={value}" for key, value in slot["section"].items())]
    files.put(
        name=slot["program"],
        src=io.StringIO("\n".join([*lines, ""])),
        dest=f"{paths['etc']}/{slot['name']}.conf",
        mode="600",
    )

host.get_fact(Command, command="supervisorctl status || true")
for service in ("supervisor", "nginx"):
    systemd.service(name=service, service=service, running=True, enabled=True)
