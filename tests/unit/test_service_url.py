"""URLs of databases, caches and queues, taken apart again by those who read them."""

from urllib.parse import unquote, urlsplit

import environ
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service_url import compose

ODD = "p@ss:/wörd?#[%40]&= +"
PARTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("postgresql", "10.0.0.21", 5432, "shop", "shop", "a/b"), "postgresql://shop:a%2Fb@10.0.0.21:5432/shop"),
        (("postgresql", "2001:db8::22", 5432, "shop", "shop", "x"), "postgresql://shop:x@[2001:db8::22]:5432/shop"),
        (("redis", "cache.example.com", 6379, "0"), "redis://cache.example.com:6379/0"),
        (("redis", "10.0.0.21", 6379, "1", "", "a@b"), "redis://:a%40b@10.0.0.21:6379/1"),
        (("rediss", "10.0.0.21", 6379, "0", "shop", "x"), "rediss://shop:x@10.0.0.21:6379/0"),
        (("amqp", "10.0.0.21", 5672, "/", "shop", "a:b"), "amqp://shop:a%3Ab@10.0.0.21:5672/%2F"),
        (("amqp", "10.0.0.21", 5672, "shop/web", "shop", "x"), "amqp://shop:x@10.0.0.21:5672/shop%2Fweb"),
        (("memcached", "10.0.0.21", 11211), "memcached://10.0.0.21:11211/"),
        (("smtp", "10.0.0.21", 25, "", "shop"), "smtp://shop@10.0.0.21:25/"),
    ],
)
def test_a_url_is_as_its_readers_write_it(arguments, url):
    assert compose(*arguments) == url


def test_options_stand_behind_the_path_and_are_escaped():
    url = compose("rediss", "10.0.0.21", 6379, "0", "shop", "x", ssl_cert_reqs="none", name="a&b /?")
    assert url == "rediss://shop:x@10.0.0.21:6379/0?ssl_cert_reqs=none&name=a%26b%20%2F%3F"


@settings(max_examples=100, deadline=None)
@given(user=PARTS, password=PARTS, path=PARTS, host=st.sampled_from(["10.0.0.1", "db1.example.com", "2001:db8::22"]))
def test_every_part_comes_back(user, password, path, host):
    url = urlsplit(compose("redis", host, 6379, path, user, password))
    assert (url.hostname, url.port) == (host, 6379)
    assert [unquote(part) for part in (url.username, url.password, url.path[1:])] == [user, password, path]


def test_django_environ_reads_the_database_and_the_cache():
    database = environ.Env.db_url_config(compose("postgresql", "10.0.0.21", 5432, "shop db", "sh op", ODD))
    assert (database["NAME"], database["USER"], database["PASSWORD"]) == ("shop db", "sh op", ODD)
    cache = environ.Env.cache_url_config(compose("rediscache", "10.0.0.21", 6379, "1", "", "a%2Fb"))
    assert cache["LOCATION"] == "redis://:a%252Fb@10.0.0.21:6379/1"
