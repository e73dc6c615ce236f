import logging

from celery import shared_task
from django.utils import timezone

from catalogue.models import Order

logger = logging.getLogger(__name__)


@shared_task
def fulfil_order(order_id):
    """Mark an order as fulfilled. A second run changes nothing: a queue may deliver a task twice."""
    if Order.objects.filter(pk=order_id, fulfilled_at=None).update(fulfilled_at=timezone.now()):
        logger.info("Order %s was fulfilled", order_id)
    elif not Order.objects.filter(pk=order_id).exists():
        logger.error("Order %s cannot be fulfilled: it does not exist", order_id)
