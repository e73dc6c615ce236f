"""What bench/servers.py needs around the web servers: a folder, processes, PostgreSQL, Nginx and Apache in front."""

import contextlib
import http.client
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import jinja2
from labs import TREE

TICKS = os.sysconf("SC_CLK_TCK")
# What a server that ends in good order takes at most; after it the kill.
PATIENCE = 8
# As Apache's states enable them, besides what Debian enables by itself.
APACHE_MODULES = "proxy proxy_http proxy_balancer lbmethod_byrequests slotmem_shm rewrite headers expires remoteip"
APACHE_MODULES += " macro"
OWN = "own.test"


class Rig:
    """A folder below /tmp that everybody may enter, and the processes that were started for it: both end with it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="slipway-bench-"))
        self.folder.chmod(0o755)
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for name in reversed(list(self.processes)):
            self.stop(name)
        shutil.rmtree(self.folder)

    def start(self, name, argv, user, cwd="/", env=None, stop_signal="TERM"):
        """Start a process as ``user``; what it says goes to ``<name>.log``. In the foreground, or it is not found."""
        account = pwd.getpwnam(user)
        base = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder)}
        with open(self.folder / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                [str(part) for part in argv],
                cwd=cwd,
                env=base | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=account.pw_uid,
                group=account.pw_gid,
                extra_groups=[account.pw_gid],
            )
        self.processes[name] = (process, stop_signal)

    def stop(self, name):
        """End a process and its children: as it is meant to, and what is left after a few seconds by force."""
        process, stop_signal = self.processes.pop(name)
        # Not waited for before the end: until then nobody else gets its number.
        family, end = self._family(process.pid), time.monotonic() + PATIENCE
        os.kill(process.pid, signal.Signals[f"SIG{stop_signal}"])
        while lives(process.pid) and time.monotonic() < end:
            time.sleep(0.02)
        # Again and again, as one that is not dead yet may have had another child.
        while family := {pid: begun for pid, begun in family.items() if lives(pid, begun)} | self._family(process.pid):
            for pid in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        process.wait()

    def cpu(self, name):
        """The seconds of CPU that a process and its children have taken."""
        fields = [stat(pid) for pid in self._family(self.processes[name][0].pid)]
        return sum(int(part[11]) + int(part[12]) for part in fields) / TICKS

    def memory(self, name):
        """The MiB of a process and its children; what they share with others is counted in part (PSS)."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup") for pid in self._family(self.processes[name][0].pid))
        return sum(int(re.search(r"^Pss:\s+(\d+)", path.read_text(), re.MULTILINE)[1]) for path in rollups) / 1024

    def log(self, name):
        """The end of what a process said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]

    def alive(self, name):
        """Whether a process still runs."""
        return lives(self.processes[name][0].pid)

    @staticmethod
    def _family(pid):
        """A process, its session and their descendants: ``{pid: when it began}``."""
        everybody = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                everybody[int(entry.name)] = stat(int(entry.name))
        family, more = {}, {other for other, fields in everybody.items() if int(fields[3]) == pid}
        while more:
            family |= {pid: everybody[pid][19] for pid in more}
            more = {pid for pid, fields in everybody.items() if int(fields[1]) in more and pid not in family}
        return {pid: begun for pid, begun in family.items() if everybody[pid][0] != "Z"}


def stat(pid):
    """The fields of /proc/<pid>/stat behind the program's name, which may hold blanks: state, parent, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def lives(pid, begun=""):
    """Whether a process runs, the one that began at a time: its number may be another's by now."""
    with contextlib.suppress(OSError):
        fields = stat(pid)
        return fields[0] != "Z" and begun in ("", fields[19])
    return False


def free_port():
    """A port of this host that nobody listens at."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def run(argv, **options):
    """Run a program to its end, and raise RuntimeError with what it said if that was no success."""
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{argv}: exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def postgresql(rig):
    """Start a PostgreSQL of its own and return its port."""
    binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    data, port, account = rig.folder / "postgresql", free_port(), pwd.getpwnam("postgres")
    data.mkdir()
    os.chown(data, account.pw_uid, account.pw_gid)
    initdb = [binaries / "initdb", "-D", data, "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"]
    run(["runuser", "-u", "postgres", "--", *initdb], cwd="/")
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", f"unix_socket_directories={data}"]
    rig.start("postgresql", [binaries / "postgres", "-D", data, "-p", port, *options], "postgres", stop_signal="INT")
    return port


def nginx(rig, app, port, own_port):
    """Start Debian's Nginx with the tree's configuration: the app's site, and another one before ``own_port``."""
    folder = rig.folder / "nginx"
    (folder / "sites").mkdir(parents=True)
    site = rendered("app/site_nginx.conf", app=app)
    own = re.sub(r"server unix:\S+ max_fails=0;", f"server 127.0.0.1:{own_port};", site)
    own = (
        re.sub(r"server unix:.*backup;", "", own)
        .replace(app["domains"][0], OWN)
        .replace(f"m {app['name']} {{", "m own {")
    )
    texts = {"views": site, "own": own.replace(f"http://{app['name']};", "http://own;")}
    for name, text in texts.items():
        (folder / f"sites/{name}.conf").write_text(text.replace("listen 80", f"listen 127.0.0.1:{port}"))
    main = rendered("nginx/nginx.conf", proxies=[], certificates=[]).replace("listen 80", f"listen 127.0.0.1:{port}")
    for path, other in {"/run/nginx.pid": "pid", "/var/log/nginx/": "", "mime.types": "/etc/nginx/mime.types"}.items():
        main = main.replace(path, other if other.startswith("/") else f"{folder}/{other}")
    (folder / "nginx.conf").write_text(main)
    rig.start("nginx", ["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", "-g", "daemon off;"], "root")


def apache(rig, app, port, own_port):
    """Start Debian's Apache with the tree's configuration: the app's site, and another one before ``own_port``."""
    folder, logs = rig.folder / "apache", rig.folder / "apache-logs"
    shutil.copytree("/etc/apache2", folder, symlinks=True)
    logs.mkdir()
    shutil.rmtree(folder / "sites-enabled")
    (folder / "sites-enabled").mkdir()
    for name in APACHE_MODULES.split():
        for source in folder.glob(f"mods-available/{name}.*"):
            link = folder / "mods-enabled" / source.name
            link.unlink(missing_ok=True)
            link.symlink_to(source)
    own = f"<VirtualHost *:80>\nServerName {OWN}\nProxyPreserveHost On\n"
    own += f"ProxyPass / http://127.0.0.1:{own_port}/ disablereuse=On\n</VirtualHost>\n"
    texts = {
        "ports.conf": f"Listen 127.0.0.1:{port}\n",
        "conf-enabled/slipway.conf": rendered("apache/slipway.conf", proxies=[], certificates=[]),
        "sites-enabled/views.conf": rendered("app/site_apache.conf", app=app),
        "sites-enabled/own.conf": own,
    }
    for name, text in texts.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(text.replace("*:80", f"*:{port}").replace("/var/log/apache2", str(logs)))
    places = {"RUN_USER": "www-data", "RUN_GROUP": "www-data", "PID_FILE": folder / "pid", "RUN_DIR": folder}
    places |= {"LOCK_DIR": folder, "LOG_DIR": logs, "CONFDIR": folder}
    env = {f"APACHE_{name}": str(value) for name, value in places.items()}
    rig.start(
        "apache", ["/usr/sbin/apache2", "-d", folder, "-f", folder / "apache2.conf", "-DFOREGROUND"], "root", env=env
    )


def rendered(template, **context):
    """A template of the tree as Salt renders it."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    environment.filters["json"] = json.dumps
    return environment.from_string((TREE / "salt" / template).read_text()).render(**context)


def answer(port, host, path, timeout=5):
    """The status of one request, 0 if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host})
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def wait_for(question, what, timeout=30):
    """Return when ``question()`` is true; raises RuntimeError after ``timeout`` seconds."""
    end = time.monotonic() + timeout
    while not question():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} after {timeout} seconds")
        time.sleep(0.05)
