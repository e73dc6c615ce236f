"""Four kinds of work: none, CPU, a database, waiting."""

import asyncio
import random
import time

from django.http import HttpResponse, JsonResponse
from django.shortcuts import render

from views_app.models import Tea

WAIT = 0.02
TEAS = 1000
ROWS = [{"name": f"Tea <{n}>", "origin": f"Garden {n % 7}", "price": n * 1.25, "stock": n % 5} for n in range(50)]


def small(request):
    """A few bytes."""
    return HttpResponse("ok")


def page(request):
    """A page of 50 rows by Django's template language."""
    return render(request, "page.html", {"rows": ROWS})


def query(request):
    """One row of PostgreSQL, found by its key."""
    tea = Tea.objects.get(pk=random.randint(1, TEAS))
    return JsonResponse({"name": tea.name, "price": tea.price, "added": tea.added})


def wait(request):
    """20 ms in which somebody else works."""
    time.sleep(WAIT)
    return HttpResponse("ok")


async def wait_async(request):
    """The same, as an app for ASGI would be written."""
    await asyncio.sleep(WAIT)
    return HttpResponse("ok")
