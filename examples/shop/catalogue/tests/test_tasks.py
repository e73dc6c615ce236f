from django.test import TestCase

from catalogue.models import Order, Product
from catalogue.tasks import fulfil_order


class FulfilOrderTest(TestCase):
    def test_a_second_run_changes_nothing(self):
        order = Order.objects.create(product=Product.objects.get(slug="assam"), quantity=1)
        fulfil_order(order.pk)
        order.refresh_from_db()
        first = order.fulfilled_at
        self.assertIsNotNone(first)
        fulfil_order(order.pk)
        order.refresh_from_db()
        self.assertEqual(order.fulfilled_at, first)

    def test_an_unknown_order_is_an_error_in_the_log(self):
        with self.assertLogs("catalogue.tasks", "ERROR"):
            fulfil_order(0)
