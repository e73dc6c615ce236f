"""Messages about deploys, taken by a mail server and a web server of this process."""

import contextlib
import email
import email.policy
import http.server
import json
import logging
import socketserver
import threading
import urllib.parse

import pytest

import notices

SECRET = "tea4two-sesame"
ENTRY = {
    "id": "1a2b3c4d5e6f",
    "commit": "1a2b3c4d5e6f" + "0" * 28,
    "revision": "v1.4.3",
    "who": "ann",
    "started": "2026-11-22T21:11:40+00:00",
    "finished": "2026-11-22T21:11:52+00:00",
    "result": "deployed",
    "reason": "",
    "phases": {"stage": 1.25, "activate-1": 10.2},
    "applied": [],
}
WHY = f"web2 failed at the step activate-2: boom\n  at https://ann:{SECRET}@cache/\nImportError: no x"


class MailHandler(socketserver.StreamRequestHandler):
    """As much of SMTP as a client without a login speaks."""

    def handle(self):
        self.answer(220)
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].split()[0].upper()
            if verb == "DATA":
                self.answer(354)
                self.server.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.answer({"QUIT": 221, **self.server.answers}.get(verb, 250))

    def answer(self, code):
        self.wfile.write(f"{code} ok\r\n".encode())


class WebHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, self.headers["Content-Type"], json.loads(body)))
        self.send_response(self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def mails():
    with served(socketserver.TCPServer(("127.0.0.1", 0), MailHandler)) as server:
        server.mails, server.answers = [], {}
        yield server


@pytest.fixture
def hook(tmp_path):
    with served(http.server.HTTPServer(("127.0.0.1", 0), WebHandler)) as server:
        server.posts, server.status = [], 200
        server.url = f"http://127.0.0.1:{server.server_port}/services/{SECRET}"
        server.file = tmp_path / "webhook"
        write(server.file, server.url)
        yield server


def write(file, address, mode=0o600):
    file.write_text(f"{address}\n")
    file.chmod(mode)


def to_mail(server, **more):
    mail = {"to": ["ops@example.com", "dev@example.com"], "server": "127.0.0.1", "port": server.server_address[1]}
    return {"slipway_notify": {"mail": mail, **more}}


def to_hook(file, **more):
    return {"slipway_notify": {"webhook": {"url_file": str(file)}, **more}}


def notice(result="deployed", told=(), reason=""):
    return notices.notice("shop", {**ENTRY, "result": result, "reason": reason}, ["web1", "web2"], told, reason)


def test_nobody_is_told_where_nobody_is_named():
    assert notices.send({}, notice()) == notices.send({"slipway_notify": None}, notice()) == []


def test_a_mail_says_what_happened_to_whom_and_how_long_each_step_took(mails):
    assert notices.send(to_mail(mails), notice()) == []
    mail = email.message_from_bytes(mails.mails[0], policy=email.policy.default)
    assert mail["Subject"] == "[slipway] shop v1.4.3: deployed"
    assert (mail["From"], mail["To"]) == ("slipway@localhost", "ops@example.com, dev@example.com")
    assert mail.get_content().splitlines() == [
        "shop v1.4.3 (1a2b3c4d5e6f): deployed",
        "",
        "who    ann",
        "when   2026-11-22T21:11:40+00:00 to 2026-11-22T21:11:52+00:00",
        "took   11.4 s",
        "hosts  web1, web2",
        "",
        "stage       1.25 s",
        "activate-1  10.2 s",
    ]


def test_a_mail_about_a_failure_ends_with_what_was_done_and_the_reason(mails):
    assert notices.send(to_mail(mails), notice("failed", ["web1 serves 000000000000 again"], WHY)) == []
    mail = email.message_from_bytes(mails.mails[0], policy=email.policy.default)
    assert mail["Subject"] == "[slipway] shop v1.4.3: failed"
    ending = mail.get_content().strip().splitlines()[-4:]
    assert ending[:2] == ["web1 serves 000000000000 again", "web2 failed at the step activate-2: boom"]
    assert ending[-1] == "ImportError: no x"


def test_a_webhook_gets_one_line_for_people_and_the_rest_for_programs(hook):
    assert notices.send(to_hook(hook.file), notice("failed", ["web1 serves old again"], WHY)) == []
    [(path, kind, body)] = hook.posts
    assert (path, kind) == (f"/services/{SECRET}", "application/json")
    text = body.pop("text")
    assert text == (
        "shop v1.4.3 (1a2b3c4d5e6f): failed, by ann, after 11.4 s: web2 failed at the step activate-2: boom"
        " ... ImportError: no x"
    )
    assert body.pop("reason").splitlines()[0] == "web1 serves old again"
    assert body == {
        "app": "shop",
        "revision": "v1.4.3",
        "release": "1a2b3c4d5e6f",
        "result": "failed",
        "who": "ann",
        "seconds": 11.4,
    }


def test_a_long_reason_is_cut_in_the_line_for_people_and_whole_for_programs(hook):
    notices.send(to_hook(hook.file), notice("failed", reason="x" * 1000))
    [(_, _, body)] = hook.posts
    assert len(body["text"]) < 400
    assert body["reason"] == "x" * 1000


def test_the_passwords_of_addresses_are_in_no_message(mails, hook):
    opts = {"slipway_notify": {**to_mail(mails)["slipway_notify"], **to_hook(hook.file)["slipway_notify"]}}
    told = [f"web1 was NOT brought back: git://ann:{SECRET}@git/shop.git"]
    assert notices.send(opts, notice("failed", told, WHY)) == []
    assert SECRET not in mails.mails[0].decode() + json.dumps(hook.posts[0][2])


def test_only_the_results_that_are_wanted_are_told(hook):
    opts = to_hook(hook.file, results=["failed"])
    for result in ("deployed", "rolled back", "failed"):
        notices.send(opts, notice(result))
    assert [body["result"] for _, _, body in hook.posts] == ["failed"]


def test_a_step_that_failed_after_all_was_deployed_is_told_to_those_who_want_failures(hook):
    notices.send(to_hook(hook.file, results=["failed"]), notice("deployed", reason="the step retire failed: boom"))
    assert "deployed, then a step failed" in hook.posts[0][2]["text"]


def test_a_mail_server_that_is_not_there_is_named(mails):
    opts = to_mail(mails)
    opts["slipway_notify"]["mail"]["port"] = 1
    assert notices.send(opts, notice()) == ["no mail was sent by 127.0.0.1: [Errno 111] Connection refused"]


def test_a_mail_server_that_refuses_is_named(mails):
    mails.answers["MAIL"] = 550
    [line] = notices.send(to_mail(mails), notice())
    assert line.startswith("no mail was sent by 127.0.0.1: (550")


@pytest.mark.parametrize(("status", "words"), [(404, "it answered with status 404"), (302, "status 302")])
def test_a_webhook_that_refuses_is_told_with_its_host_and_status(hook, status, words):
    hook.status = status
    [line] = notices.send(to_hook(hook.file), notice())
    assert line.startswith("the webhook at 127.0.0.1 was not told: ")
    assert words in line
    assert len(hook.posts) == 1


@pytest.mark.parametrize(
    "address",
    [
        f"http://127.0.0.1:1/{SECRET}",
        f"http://127.0.0.1:{SECRET}/",
        f"http://127.0.0.1/{SECRET} /",
        f"http://127.0.0.1/ü{SECRET}",
        f"http://[127/{SECRET}",
        f"file:///{SECRET}",
        f"https://127.0.0.1:1/\n{SECRET}",
        f"http://nowhere.invalid/{SECRET}",
        SECRET,
        "",
    ],
)
def test_no_failure_tells_the_address_of_a_webhook(tmp_path, caplog, address):
    write(tmp_path / "webhook", address)
    with caplog.at_level(logging.DEBUG):
        [line] = notices.send(to_hook(tmp_path / "webhook"), notice())
    assert "webhook" in line
    assert SECRET not in line + caplog.text
    assert caplog.text.count("\n") == 1


def test_an_address_that_everybody_may_read_is_not_used_but_told(hook):
    hook.file.chmod(0o644)
    [line] = notices.send(to_hook(hook.file), notice())
    assert line.endswith(f"everybody on the master can use {hook.file}: chmod 600 {hook.file}")
    assert hook.posts == []


def test_a_server_that_never_answers_holds_nobody_up(tmp_path, monkeypatch):
    monkeypatch.setattr(notices, "TIMEOUT", 0.1)
    with socketserver.TCPServer(("127.0.0.1", 0), None) as silent:
        write(tmp_path / "webhook", f"http://127.0.0.1:{silent.server_address[1]}/")
        opts = to_mail(silent, **to_hook(tmp_path / "webhook")["slipway_notify"])
        mail, webhook = notices.send(opts, notice())
    assert mail == "no mail was sent by 127.0.0.1: Connection unexpectedly closed: timed out"
    assert webhook == "the webhook at 127.0.0.1 was not told: no answer within 0.1 s"


def test_a_mistake_of_ours_is_told_and_fails_nothing(mails, monkeypatch):
    monkeypatch.setattr(notices, "_about", lambda *_: 1 / 0)
    assert notices.send(to_mail(mails), notice()) == ["no message by mail: ZeroDivisionError"]


def test_drift_is_told_to_those_who_want_it(mails, hook):
    opts = {"slipway_notify": {**to_mail(mails)["slipway_notify"], **to_hook(hook.file)["slipway_notify"]}}
    assert notices.send_drift(opts, ["web1", "web2"], ["web1 nginx-config:", "+# by hand"]) == []
    mail = email.message_from_bytes(mails.mails[0], policy=email.policy.default)
    assert mail["Subject"] == "[slipway] web1, web2: drifted"
    assert mail.get_content().splitlines() == ["web1 nginx-config:", "+# by hand"]
    ((_, _, post),) = hook.posts
    assert (post["text"], post["hosts"]) == ("web1, web2: drifted: salt-run rollout.drift", ["web1", "web2"])
    opts["slipway_notify"]["results"] = ["failed"]
    assert notices.send_drift(opts, ["web1"], []) == []
    assert len(mails.mails) == 1


def test_a_process_that_died_is_told_to_those_who_want_it(mails, hook):
    opts = {"slipway_notify": {**to_mail(mails)["slipway_notify"], **to_hook(hook.file)["slipway_notify"]}}
    death = {"app": "shop", "host": "web1", "process": "shop-blue", "what": "died", "reason": "killed by SIGKILL"}
    assert notices.send_death(opts, death, "web1: shop-blue died") == []
    mail = email.message_from_bytes(mails.mails[0], policy=email.policy.default)
    assert mail["Subject"] == "[slipway] web1: shop-blue died"
    assert mail.get_content().splitlines() == ["web1: shop-blue died"]
    ((_, _, post),) = hook.posts
    assert (post["text"], post["result"], post["reason"]) == ("web1: shop-blue died", "died", "killed by SIGKILL")
    opts["slipway_notify"]["results"] = ["drifted"]
    assert notices.send_death(opts, death, "web1: shop-blue died") == []
    assert len(mails.mails) == 1


def test_every_mistake_of_the_configuration_is_told_with_its_key_and_nothing_is_sent(hook):
    opts = to_hook(hook.file, mail={"to": ["ops"], "form": "x@example.com"}, results=["deploied"])
    wrong = notices.send(opts, notice())
    assert wrong == notices.mistakes(opts)
    assert [line.split(": ")[0] for line in wrong] == [
        "slipway_notify:mail:form",
        "slipway_notify:mail:to",
        "slipway_notify:results",
    ]
    assert "did you mean 'from'?" in wrong[0]
    assert hook.posts == []


def test_a_configuration_that_is_no_mapping_is_told():
    assert notices.mistakes({"slipway_notify": ["mail"]}) == [
        "slipway_notify: a list is not a mapping: write `key: value` lines"
    ]


def test_nothing_of_a_host_breaks_the_line_of_a_subject(mails):
    entry = {**ENTRY, "revision": "v1\nBcc: eve@example.com"}
    assert notices.send(to_mail(mails), notices.notice("shop", entry, [], [], "")) == []
    mail = email.message_from_bytes(mails.mails[0], policy=email.policy.default)
    assert mail["Subject"] == "[slipway] shop v1 Bcc: eve@example.com: deployed"
    assert mail["Bcc"] is None


def test_the_host_of_a_webhook_is_all_that_is_told_of_it(hook):
    hook.status = 500
    [line] = notices.send(to_hook(hook.file), notice())
    parts = urllib.parse.urlsplit(hook.url)
    assert parts.hostname in line
    assert parts.path not in line
