"""
Messages from the master to people, about deploys, rollbacks, rotations, drift and processes that died: a mail, and a
webhook as chats have them.

Who gets them stands in the master's configuration, key ``slipway_notify``. The address of a webhook is a secret: it is
read from a file, and nothing here says more of it than its host.
"""

import contextlib
import dataclasses
import http.client
import json
import logging
import smtplib
import stat
import urllib.error
import urllib.parse
import urllib.request
from email.message import EmailMessage
from pathlib import Path

from salt.exceptions import CommandExecutionError

import app_spec_checks
import app_spec_keys
import command
import ledger_file
from app_spec_kinds import choice, listing, number, table, text

log = logging.getLogger(__name__)

KEY = "slipway_notify"
# Seconds for each answer of a server: a deploy waits for it.
TIMEOUT = 10
# Characters of a reason in one line of a chat.
SHORT = 300

ADDRESS = text("mail address", r"[!-~]+@[A-Za-z0-9][\w.-]*", "write it as ops@example.com")
DRIFTED, DIED = "drifted", "died"
RESULTS = (ledger_file.DEPLOYED, ledger_file.ROLLED_BACK, ledger_file.ROTATED, ledger_file.FAILED, DRIFTED, DIED)

MAIL = (
    app_spec_keys.Key("to", listing(ADDRESS, least=1), app_spec_keys.REQUIRED, "Who gets it."),
    app_spec_keys.Key("from", ADDRESS, "slipway@localhost", "Who it is from."),
    app_spec_keys.Key(
        "server",
        text("name of a host", r"[A-Za-z0-9][\w.:-]*", "write the name or the address of a mail server"),
        "localhost",
        "The mail server, which takes it without a login.",
    ),
    app_spec_keys.Key("port", number("port", 1, 65535), 25, "Its port."),
)
WEBHOOK = (
    app_spec_keys.Key(
        "url_file",
        text("absolute path", app_spec_keys.PATH, "write it as /etc/salt/slipway-webhook"),
        app_spec_keys.REQUIRED,
        "The file with the address.",
    ),
)
NOTIFY = (
    app_spec_keys.Key("mail", table(*MAIL), app_spec_keys.Derived("no mail"), "A mail."),
    app_spec_keys.Key("webhook", table(*WEBHOOK), app_spec_keys.Derived("no webhook"), "A POST of JSON."),
    app_spec_keys.Key(
        "results",
        listing(choice(*RESULTS, fix=f"the results are {', '.join(RESULTS)}")),
        RESULTS,
        "What is told.",
    ),
)


@dataclasses.dataclass(frozen=True)
class Message:
    """What is told: the subject and the body of a mail, and the JSON of a POST."""

    subject: str
    body: str
    payload: dict


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """After a redirect urllib would GET, without the message."""

    def redirect_request(self, *args, **kwargs):
        return None


def mistakes(opts):
    """What is wrong with the master's key ``slipway_notify``: a list of sentences."""
    return _settings(opts)[1]


def notice(app, entry, hosts, told, reason):
    """
    What there is to tell about one entry of the ledger's history.

    :param hosts: the names of the app's hosts
    :param told: what was done about a failure, as lines
    :param reason: why the orchestration failed; empty if it did not
    """
    return {
        "app": app,
        **{key: entry[key] for key in ("revision", "id", "who", "started", "finished", "result", "phases")},
        "seconds": round(sum(entry["phases"].values()), 1),
        "hosts": list(hosts),
        "told": [command.mask(line) for line in told],
        "reason": command.mask(reason),
    }


def send(opts, notice):
    """
    Tell everybody whom the master's configuration names; returns what went wrong with that, as lines.

    Nothing is raised: a message that nobody gets is no reason for a deploy to fail.
    """
    # A deploy that ended well and after which a step failed is both.
    results = {notice["result"], *([ledger_file.FAILED] if notice["reason"] else [])}
    return _tell(opts, results, lambda: _about(notice))


def send_drift(opts, hosts, lines):
    """
    The same about hosts that are not as their states say.

    :param hosts: their names
    :param lines: what would be changed there
    """
    return _tell(opts, {DRIFTED}, lambda: _about_drift(list(hosts), "\n".join(lines)))


def send_death(opts, death, line):
    """
    The same about a process that died.

    :param death: the data of the event (``deaths``)
    :param line: the same as a line
    """
    return _tell(opts, {DIED}, lambda: _about_death(death, line))


def _about(notice):
    subject = f"{_line(notice['app'], notice['revision'])}: {_ending(notice)}"
    return Message(subject, _body(notice), _payload(notice))


def _about_drift(hosts, text):
    subject = f"{', '.join(hosts)}: {DRIFTED}"
    payload = {"text": f"{subject}: salt-run rollout.drift", "hosts": hosts, "result": DRIFTED, "reason": text}
    return Message(subject, f"{text}\n", payload)


def _about_death(death, line):
    payload = {"text": line, **{key: death[key] for key in ("app", "host", "process", "reason")}, "result": DIED}
    return Message(f"{death['host']}: {death['process']} {death['what']}", f"{line}\n", payload)


def _tell(opts, results, compose):
    """Send what ``compose`` returns to those who want one of the results."""
    settings, wrong = _settings(opts)
    if not wrong and results & set(settings["results"]):
        wrong = [_sent(way, settings[way], compose) for way in ("mail", "webhook") if way in settings]
    problems = [line for line in wrong if line]
    for line in problems:
        log.warning("%s", line)
    return problems


def _settings(opts):
    return app_spec_checks.table(KEY, NOTIFY, opts.get(KEY) or {})


def _sent(way, settings, compose):
    """Send a message; what went wrong, as a line."""
    try:
        return {"mail": _mail, "webhook": _post}[way](settings, compose())
    except Exception as error:
        # A mistake of ours as well must not make a failure of a deploy that is done.
        return f"no message by {way}: {type(error).__name__}"


def _mail(settings, message):
    """Send the mail; what went wrong, as a line."""
    try:
        with smtplib.SMTP(settings["server"], settings["port"], timeout=TIMEOUT) as server:
            refused = server.send_message(_email(settings, message))
    except OSError as error:
        return f"no mail was sent by {settings['server']}: {_line(str(error) or type(error).__name__)}"
    return f"{settings['server']} took no mail for {', '.join(refused)}" if refused else ""


def _email(settings, message):
    email = EmailMessage()
    email["Subject"] = f"[slipway] {message.subject}"
    email["From"] = settings["from"]
    email["To"] = ", ".join(settings["to"])
    email.set_content(message.body)
    return email


def _body(notice):
    facts = {
        "who": notice["who"],
        "when": f"{notice['started']} to {notice['finished']}",
        "took": f"{notice['seconds']} s",
        "hosts": ", ".join(notice["hosts"]),
    }
    width = max((len(step) for step in notice["phases"]), default=0)
    phases = [f"{step:{width}}  {seconds} s" for step, seconds in notice["phases"].items()]
    heading = f"{_title(notice)}: {_ending(notice)}"
    blocks = [[heading], [f"{name:5}  {fact}" for name, fact in facts.items()], phases, [_whole_reason(notice)]]
    return "\n\n".join("\n".join(block) for block in blocks if any(block)) + "\n"


def _post(settings, message):
    """Send the POST; what went wrong, as a line."""
    try:
        address = _address(settings["url_file"])
        body = json.dumps(message.payload).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json", "User-Agent": "slipway"})
    except CommandExecutionError as error:
        return f"the webhook was not told: {error}"
    except ValueError:
        return f"the webhook was not told: what {settings['url_file']} holds is no address"
    problem = _posted(request)
    return f"the webhook at {urllib.parse.urlsplit(address).hostname} was not told: {problem}" if problem else ""


def _posted(request):
    """What went wrong with a request. Python's own words may hold the address: only those that cannot are told."""
    try:
        urllib.request.build_opener(_NoRedirects).open(request, timeout=TIMEOUT).close()
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return f"it answered with status {error.code}"
    except urllib.error.URLError as error:
        return getattr(error.reason, "strerror", None) or type(error.reason).__name__
    except TimeoutError:
        return f"no answer within {TIMEOUT} s"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__
    return ""


def _address(file):
    """The address in a file. Raises CommandExecutionError that does not name it."""
    try:
        if stat.S_IMODE(Path(file).stat().st_mode) & stat.S_IRWXO:
            raise CommandExecutionError(f"everybody on the master can use {file}: chmod 600 {file}")
        address = Path(file).read_text("utf-8").strip()
        found = urllib.parse.urlsplit(address)
    except OSError as error:
        raise CommandExecutionError(f"{file}: {error.strerror}") from error
    if found.scheme not in ("http", "https") or not found.hostname or not address.isprintable() or " " in address:
        raise CommandExecutionError(f"{file} must hold one line, https://...")
    return address


def _payload(notice):
    return {
        "text": _summary(notice),
        "release": notice["id"],
        **{key: notice[key] for key in ("app", "revision", "result", "who", "seconds")},
        "reason": _whole_reason(notice),
    }


def _summary(notice):
    """Everything in one line: of a reason its first line, which says where, and its last, which says why."""
    lines = notice["reason"].strip().splitlines()
    reason = " ... ".join([lines[0], lines[-1]] if lines[1:] else lines)
    reason = reason if len(reason) <= SHORT else f"{reason[: SHORT - 3]}..."
    ending = f"{_title(notice)}: {_ending(notice)}, by {notice['who']}, after {notice['seconds']} s"
    return _line(f"{ending}: {reason}" if reason else ending)


def _ending(notice):
    """The result in words; a release that is deployed may still have had a step fail after that."""
    went_well = notice["result"] != ledger_file.FAILED
    return f"{notice['result']}, then a step failed" if went_well and notice["reason"] else notice["result"]


def _title(notice):
    return f"{_line(notice['app'], notice['revision'])} ({notice['id']})"


def _whole_reason(notice):
    return "\n".join([*notice["told"], notice["reason"]]) if notice["reason"] else ""


def _line(*texts):
    """Texts as one line."""
    return " ".join(" ".join(texts).split())
