import json
import logging
import time
from functools import partial

from django.conf import settings
from django.contrib import messages
from django.core.cache import cache
from django.db.models import Avg, Count
from django.http import HttpResponseBadRequest, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from catalogue.forms import OrderForm, ReviewForm
from catalogue.models import Product

logger = logging.getLogger(__name__)

LONGEST_SLEEP = 5  # seconds
PRODUCT_SECONDS = 5  # for which a product may be older than the database


@require_safe
def product_list(request):
    products = Product.objects.annotate(rating=Avg("reviews__rating"), review_count=Count("reviews"))
    return render(request, "catalogue/product_list.html", {"products": products})


@require_safe
def product_page(request, slug):
    # Two releases run side by side, and one may not read what the other has written: each has keys of its own.
    key, find = f"product-{settings.RELEASE}-{slug}", partial(get_object_or_404, Product, slug=slug)
    return render(request, "catalogue/product.html", {"product": cache.get_or_set(key, find, PRODUCT_SECONDS)})


@require_http_methods(["GET", "HEAD", "POST"])
def review_page(request, slug):
    product = get_object_or_404(Product, slug=slug)
    form = ReviewForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        form.instance.product = product
        review = form.save()
        logger.info("Review %s of product %s was saved", review.pk, product.slug)
        messages.success(request, "Thank you for your review.")
        return redirect(product)
    if form.errors:
        logger.debug("Review of product %s has errors in %s", product.slug, list(form.errors))
    return render(request, "catalogue/review.html", {"product": product, "form": form})


@csrf_exempt
@require_POST
def orders(request):
    """Insert an order, such as {"product": "assam", "quantity": 2}. For load tests: a real shop asks who calls."""
    try:
        form = OrderForm(dict(json.loads(request.body)))
    except (TypeError, ValueError):
        logger.warning("An order was no JSON object")
        return JsonResponse({"errors": "Send a JSON object"}, status=400)
    if not form.is_valid():
        logger.warning("An order had errors in %s", list(form.errors))
        return JsonResponse({"errors": form.errors}, status=400)
    order = form.save()
    logger.info("Order %s was placed", order.pk)
    return JsonResponse({"order": order.pk, "release": settings.RELEASE}, status=201)


@require_safe
def slow(request):
    """Answer after ?seconds=2, at most 5. For load tests: such requests are in flight while a release changes."""
    try:
        seconds = float(request.GET.get("seconds", 1))
    except ValueError:
        return HttpResponseBadRequest("seconds must be a number")
    if not 0 <= seconds <= LONGEST_SLEEP:
        return HttpResponseBadRequest(f"seconds must be from 0 to {LONGEST_SLEEP}")
    time.sleep(seconds)
    return JsonResponse({"seconds": seconds, "release": settings.RELEASE})
