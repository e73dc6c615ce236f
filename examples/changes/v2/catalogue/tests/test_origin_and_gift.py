from django.db import connection
from django.test import TestCase

from catalogue.models import Order, Product


class OriginTest(TestCase):
    def test_the_page_of_a_product_names_its_origin(self):
        Product.objects.filter(slug="assam").update(origin="India")
        self.assertContains(self.client.get("/products/assam/"), "Origin: India")
        self.assertContains(self.client.get("/products/sencha/"), "Origin: not known yet")


class GiftTest(TestCase):
    def order(self, **data):
        return self.client.post("/orders/", {"product": "assam", "quantity": 1} | data, content_type="application/json")

    def test_an_order_may_be_a_gift(self):
        self.assertIs(self.order(gift=True).json()["gift"], True)
        self.assertIs(self.order().json()["gift"], False)

    def test_a_row_of_the_release_before_is_no_gift(self):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO catalogue_order (product_id, quantity, created_at) VALUES (%s, 1, CURRENT_TIMESTAMP)",
                [Product.objects.get(slug="assam").pk],
            )
        self.assertIs(Order.objects.get().gift, False)
