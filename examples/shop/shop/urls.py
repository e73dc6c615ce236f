from django.urls import include, path

from core.views import healthz

urlpatterns = [
    path("", include("catalogue.urls")),
    path("healthz/", healthz, name="healthz"),
]
