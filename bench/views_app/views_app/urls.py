"""One address for each view; an app for ASGI waits without a thread."""

import os

from django.urls import path

from views_app import views

urlpatterns = [
    path("small/", views.small),
    path("page/", views.page),
    path("query/", views.query),
    path("wait/", views.wait_async if os.environ.get("BENCH_INTERFACE") == "asgi" else views.wait),
]
