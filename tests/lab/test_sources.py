"""Where the code comes from, beyond the lab's open git server."""

import pytest

SERVER = "/srv/git/shop.git"


@pytest.fixture
def private_repository(serving_v1):
    """The shop's repository behind ssh and a deploy key, as the pillar says it; taken back afterwards."""
    site = serving_v1
    master = lambda command: site.lab.run("master", ["sh", "-ec", command], timeout=120).stdout.strip()  # noqa: E731
    master("apt-get install -qq -y --no-install-recommends openssh-server && systemctl start ssh")
    master("mkdir -p -m 700 ~/.ssh; ssh-keygen -q -t ed25519 -N '' -f ~/deploy; cp ~/deploy.pub ~/.ssh/authorized_keys")
    key = master("cat ~/deploy")
    address = site.lab.hosts()["master"].address
    known = f"{address} {' '.join(master('cat /etc/ssh/ssh_host_ed25519_key.pub').split()[:2])}"
    app, secrets = (site.lab.folder / "pillar" / name for name in ("apps/shop.sls", "secrets/shop.sls"))
    before = {path: path.read_text() for path in (app, secrets)}
    source = f'{{git: "ssh://root@{address}{SERVER}", known_hosts: ["{known}"]}}'
    app.write_text(before[app].replace(f"{{git: git://{address}/shop.git}}", source))
    indented = "\n".join(f"      {line}" for line in key.splitlines())
    secrets.write_text(f"{before[secrets].rstrip()}\n    deploy_key: |\n{indented}\n")
    master(f"git -C {SERVER} tag -f v1-again $(git -C {SERVER} commit-tree -p v1 -m again 'v1^{{tree}}')")
    yield site
    for path, content in before.items():
        path.write_text(content)
    master(f"git -C {SERVER} tag -d v1-again; systemctl stop ssh; rm ~/deploy ~/deploy.pub ~/.ssh/authorized_keys")
    site.provision()
    site.must_deploy("v1")


def test_a_private_repository_is_fetched_with_the_deploy_key(private_repository):
    site = private_repository
    assert site.provision().returncode == 0
    site.must_deploy("v1-again")
    assert site.release_of("web1") == site.release_of("web2") == site.commit("v1-again")
    owner = site.lab.run("web1", ["stat", "-c", "%U:%G %a", "/etc/shop/deploy_key"]).stdout.strip()
    assert owner == "root:root 600"
