from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings


class Echo(AsyncJsonWebsocketConsumer):
    """Send back what comes in, with the release that does it. For load tests: a real shop asks who calls."""

    async def receive_json(self, content):
        await self.send_json({"release": settings.RELEASE, "echo": content})
