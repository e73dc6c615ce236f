"""What the tests of an orchestration's steps share: hosts that answer what the test says, and steps that ran before."""

import ledger_file
import lock_file

V1 = {"id": "1a2b3c4d5e6f", "commit": "1a2b3c4d5e6f" + "0" * 28, "revision": "v1"}
UNSAFE = {"shop.0002": ["DROP_COLUMN: a", "NOT_NULL: b"], "shop.0003": ["c"]}
BLUE, GREEN = {"slot": "blue", "release": "old"}, {"slot": "green", "release": "new"}
RELEASE_ARGUMENTS = {"folder": "/new", "python": "/new/python", "user": "shop", "variables": {"A": "1"}, "timeout": 600}


class Hosts:
    """A double of LocalClient: ``answers[function]`` is what every host returns, or a function of the host."""

    def __init__(self, **answers):
        self.answers = {"saltutil.refresh_pillar": True, **{key.replace("_", ".", 1): answers[key] for key in answers}}
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def cmd_iter(self, tgt, fun, arg, tgt_type, kwarg, expect_minions):
        self.told = kwarg
        assert tgt_type == "list"
        assert expect_minions is True
        self.asked.append((fun, tuple(tgt), *arg))
        answer = self.answers[fun]
        for host in tgt:
            yield {host: self.shape(answer(host) if callable(answer) else answer)}

    @staticmethod
    def shape(returned):
        if returned is None:
            return {"failed": True}
        if isinstance(returned, Exception):
            return {"ret": f"ERROR: {returned}", "retcode": 1}
        return {"ret": returned, "retcode": 0}


def step(number, name, result=True, changes=None, comment="", ran=True):
    return {
        f"salt_|-{name}_|-{name}_|-state": {
            "__id__": name,
            "__run_num__": number,
            "__state_ran__": ran,
            "result": result,
            "changes": changes or {},
            "comment": comment,
            "duration": 1500.0,
        }
    }


def on_hosts(**comments):
    """The changes of a step that failed on hosts, for these reasons."""
    return {"out": "highstate", "ret": {host: step(0, "shop-web", False, {}, why) for host, why in comments.items()}}


def in_progress(module, before, **more):
    lock_file.acquire(module.folder, "shop", "1", "ann", "deploy v1", 60)
    attempt = {"token": "1", "who": "ann", "started": ledger_file.now(), "release": V1, "before": before, **more}
    ledger_file.begin(module.folder, "shop", attempt)


def deployed(module, release=V1, **more):
    in_progress(module, {}, **more)
    ledger_file.succeed(module.folder, "shop", {})
    assert ledger_file.read(module.folder, "shop")["deployed"] == release


def hook(*commands, host="web1"):
    return {"host": host, "commands": [list(command) for command in commands], "arguments": dict(RELEASE_ARGUMENTS)}


def hosts_with_hooks(**answers):
    """Hosts on which every command works, except those that the test says otherwise about."""
    hosts = Hosts(hooks_run=None, **{"state_sls": {}, "manage_pending_migrations": [], **answers})
    hosts.ran = []

    def cmd_iter(tgt, fun, arg, tgt_type, kwarg, expect_minions):
        if fun == "hooks.run":
            hosts.ran.append(kwarg)
            fails = kwarg["command"][0] == "false"
            hosts.answers[fun] = RuntimeError("false failed: no") if fails else " ".join(kwarg["command"])
        return Hosts.cmd_iter(hosts, tgt, fun, arg, tgt_type, kwarg, expect_minions)

    hosts.cmd_iter = cmd_iter
    return hosts
