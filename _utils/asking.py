"""
What the master asks hosts, for the steps of an orchestration and for the commands of people alike; who does not answer
is named.
"""

import time

import salt.client
from salt.exceptions import CommandExecutionError

import steps

SILENT = "it does not answer"

# Seconds that hosts have which are asked in passing: those that are there answer sooner.
BRIEFLY = 3

# Seconds that a state run waits for another one on the same host, such as a highstate with packages to install or the
# deploy of another app, and between two questions whether it is over. Salt's own queue is no good for it: after 15 s it
# reports a host that waits as one that does not answer, and the run comes later all the same (saltstack/salt #69844).
BUSY, BUSY_INTERVAL = 900, 1


def ask(opts, hosts, function, /, *args, **kwargs):
    """``{host: return}`` of those that answered, ``{host: reason}`` of the others; all are asked at once."""
    answers = dict(_answers(opts, hosts, function, args, kwargs)) if hosts else {}
    returned, problems = {}, {}
    for host in hosts:
        answer = answers.get(host, {})
        if "ret" not in answer:
            problems[host] = SILENT
        elif answer.get("retcode") or answer["ret"] is False:
            problems[host] = str(answer["ret"]).removeprefix("ERROR: ")
        else:
            returned[host] = answer["ret"]
    return returned, problems


def silent(opts, hosts):
    """Those of the hosts that do not answer."""
    _, problems = ask(opts, hosts, "test.ping")
    return [host for host in hosts if problems.get(host) == SILENT]


def ask_one(opts, host, function, /, **kwargs):
    """What a host returns. Raises CommandExecutionError, with its name, where it does not, or the function failed."""
    returned, problems = ask(opts, [host], function, **kwargs)
    if problems:
        raise CommandExecutionError(lines(problems))
    return returned[host]


def ask_briefly(opts, hosts, function):
    """``{host: return}`` of the hosts that say so in time, also where that is an error; nobody waits for the others."""
    answers, end = {}, time.monotonic() + BRIEFLY
    with salt.client.get_local_client(opts["conf_file"]) as client:
        job = client.run_job(list(hosts), function, tgt_type="list") if hosts else {}
        while job and len(answers) < len(hosts) and time.monotonic() < end:
            time.sleep(0.05)
            answers = client.get_cache_returns(job["jid"])
    return {host: answer.get("ret") for host, answer in answers.items()}


def apply(opts, hosts, sls, pillar, test):
    """
    Apply an SLS, or the highstate if it is empty: yields ``host, return`` of each host as it comes, of a busy one
    later; of one that does not answer the return is False.
    """
    waiting, end = list(hosts), time.monotonic() + BUSY
    function, args = ("state.sls", [sls]) if sls else ("state.highstate", [])
    while waiting:
        busy = []
        for host, answer in _answers(opts, waiting, function, args, {"pillar": pillar, "test": test}):
            if steps.is_busy(answer.get("ret")) and time.monotonic() < end:
                busy.append(host)
            else:
                yield host, answer.get("ret", False)
        waiting = busy
        time.sleep(BUSY_INTERVAL if busy else 0)


def lines(problems):
    """``{host: reason}`` as text, a line for each host."""
    return "\n".join(f"{host}: {problem}" for host, problem in problems.items())


def _answers(opts, hosts, function, args, kwargs):
    """``host, answer`` of each host as it comes; one that does not answer comes last without ``ret``, or never."""
    with salt.client.get_local_client(opts["conf_file"]) as client:
        for answers in client.cmd_iter(
            list(hosts), function, list(args), tgt_type="list", kwarg=kwargs, expect_minions=True
        ):
            yield from answers.items()
