"""
Runs on web1, with Salt's own Python: sends the master answers of jobs, as web1 and in web2's name in every way that
web1's keys allow, and prints as JSON which the master took. Not a test; test_secrecy.py runs it.
"""

import asyncio
import json
import time
import uuid

import salt.channel.client
import salt.config
import salt.crypt


async def main():
    options = salt.config.minion_config("/etc/salt/minion")
    options["master_uri"] = f"tcp://{options['master']}:{options['master_port']}"
    options["__role"] = "minion"
    channel = salt.channel.client.AsyncReqChannel.factory(options)
    await channel.connect()
    await channel.auth.authenticate()
    session, shared = channel.auth.creds["session"], channel.auth.creds["aes"]

    async def took(outer, inner, key, version=3):
        """Whether the master took an answer from `outer` (who the envelope says sends it) in the name of `inner`."""
        answer = {
            **{"cmd": "_return", "id": inner, "jid": "20260101000000000000", "fun": "test.ping", "return": "forged"},
            **{"retcode": 0, "success": True, "nonce": uuid.uuid4().hex, "ts": int(time.time())},
            "tok": channel.auth.gen_token(b"salt"),
        }
        envelope = {"enc": "aes", "load": salt.crypt.Crypticle(options, key).dumps(answer), "version": version}
        envelope |= {"id": outer, "enc_algo": options["encryption_algorithm"]}
        # A refusal is a sentence in clear; what was taken is answered with something encrypted.
        return isinstance(await channel.transport.send(envelope, timeout=10), bytes)

    print(
        json.dumps(
            {
                "web1 as itself": await took("web1", "web1", session),
                "web2, with web1's session key": await took("web2", "web2", session),
                "web2 inside, web1 outside": await took("web1", "web2", session),
                "web1 inside, web2 outside": await took("web2", "web1", session),
                "web2, with the key that all minions share": await took("web2", "web2", shared),
                "web2, in protocol 2": await took("web2", "web2", shared, 2),
                "web2 inside, web1 outside, in protocol 2": await took("web1", "web2", shared, 2),
                "web2, in protocol 0": await took("web2", "web2", shared, 0),
            }
        )
    )


asyncio.run(main())
