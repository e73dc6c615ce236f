from django.urls import path

from catalogue import views

# So that a request can take longer than a deploy waits for it.
views.LONGEST_SLEEP = 60

urlpatterns = [
    path("", views.product_list, name="product-list"),
    path("products/<slug:slug>/", views.product_page, name="product"),
    path("products/<slug:slug>/review/", views.review_page, name="review"),
    path("orders/", views.orders, name="orders"),
    path("slow/", views.slow, name="slow"),
]
