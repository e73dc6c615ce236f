"""A host that somebody has broken into: whoever is root there has its keys, and asks the master for anything."""

import asyncio
import time
import uuid

import salt.channel.client
import salt.crypt

# The first version of the protocol in which a message must have a token. An older one looks at a token only if there is
# one, and only a host's own key makes one that fits its name.
TOKENS = 3
# Seconds for one answer, and in which a subscriber hears from then on.
ANSWER = 10
SUBSCRIBED = 1

# How a message can claim to come from another host: who the envelope says sends it, and who the letter; the key that it
# is encrypted with, and the version of the protocol.
ITSELF = "its own name"
CLAIMS = {
    ITSELF: ("me", "me", "session", 3),
    "the other's name": ("other", "other", "session", 3),
    "the other's name in the letter": ("me", "other", "session", 3),
    "the other's name on the envelope": ("other", "me", "session", 3),
    "the key that all hosts share": ("other", "other", "aes", 3),
    "an older protocol": ("other", "other", "aes", 2),
    "an older protocol, in the letter": ("me", "other", "aes", 2),
    "the oldest protocol": ("other", "other", "aes", 0),
}


class Intruder:
    """The keys of one host, and its way to the master."""

    def __init__(self, minion):
        config = dict(minion.config)
        self.id = config["id"]
        self._options = {**config, "master_uri": f"tcp://127.0.0.1:{config['master_port']}", "__role": "minion"}
        # Salt's default: where the master publishes is what it says itself.
        self._options["publish_port"] = 4506

    def ask(self, command, **load):
        """The master's answer to a request that the host sends in its own name."""
        return self._run(lambda channel: channel.send({"cmd": command, **load}, timeout=ANSWER, tries=1))

    def pillar(self, grains=None, **sent):
        """The pillar that the master gives to a host which says and sends this."""
        load = {"cmd": "_pillar", "ver": "2", "grains": grains or {}, "saltenv": "base", "pillarenv": None, **sent}
        way = {"dictkey": "pillar", "timeout": ANSWER, "tries": 1}
        return self._run(lambda channel: channel.crypted_transfer_decode_dictentry(load, **way))

    def claim(self, claim, other, command, **load):
        """Whether the master took a request in the name of another host (``CLAIMS``)."""
        names = {"me": self.id, "other": other}
        envelope, letter, key, version = CLAIMS[claim]

        async def send(channel):
            crypticle = salt.crypt.Crypticle(self._options, channel.auth.creds[key])
            inner = {"cmd": command, "id": names[letter], "nonce": uuid.uuid4().hex, "ts": int(time.time()), **load}
            if version >= TOKENS:
                inner["tok"] = channel.auth.gen_token(b"salt")
            outer = {"enc": "aes", "load": crypticle.dumps(inner), "version": version, "id": names[envelope]}
            outer |= {"enc_algo": self._options["encryption_algorithm"], "sig_algo": self._options["signing_algorithm"]}
            answer = await channel.transport.send(outer, timeout=ANSWER)
            # A refusal is a sentence in clear; what was taken is answered with something encrypted.
            return not isinstance(answer, str)

        return self._run(send)

    def overhear(self, act):
        """What the master orders any host to do while ``act()`` runs."""
        orders = []

        async def listen():
            channel = salt.channel.client.AsyncPubChannel.factory(self._options)
            await channel.connect()
            channel.on_recv(self._keep(orders))
            await asyncio.sleep(SUBSCRIBED)
            await asyncio.to_thread(act)
            await asyncio.sleep(SUBSCRIBED)
            channel.close()

        asyncio.run(listen())
        return orders

    @staticmethod
    def _keep(orders):
        async def keep(order):
            orders.append(order["load"])

        return keep

    def _run(self, talk):
        async def talk_to_master():
            channel = salt.channel.client.AsyncReqChannel.factory(self._options)
            await channel.connect()
            await channel.auth.authenticate()
            try:
                return await talk(channel)
            finally:
                channel.close()

        return asyncio.run(talk_to_master())
