"""Redis as a cache without which the shop goes on, only slower."""

import logging
import time

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

PAUSE = 5  # seconds in which a Redis that has failed is not asked again, so that not every page waits for it


class OptionalRedisCache(RedisCache):
    """Django's own, but where Redis fails nothing is found and nothing kept. ``get_or_set`` is ``get`` and ``add``."""

    asked_again_at = 0

    def get(self, key, default=None, version=None):
        return self._tried(super().get, default, key, default, version)

    def add(self, key, *args, **kwargs):
        return self._tried(super().add, False, key, *args, **kwargs)

    def set(self, key, *args, **kwargs):
        return self._tried(super().set, None, key, *args, **kwargs)

    def delete(self, key, version=None):
        return self._tried(super().delete, False, key, version)

    def _tried(self, function, otherwise, *args, **kwargs):
        if time.monotonic() < OptionalRedisCache.asked_again_at:
            return otherwise
        try:
            return function(*args, **kwargs)
        except RedisError as error:
            OptionalRedisCache.asked_again_at = time.monotonic() + PAUSE
            logger.error("The cache does not answer: %s", type(error).__name__)
            return otherwise
