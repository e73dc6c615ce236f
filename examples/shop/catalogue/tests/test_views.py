from django.core.cache import cache
from django.test import Client, TestCase, override_settings

from catalogue.models import Order, Product, Review

REVIEW = {"author": "Ada", "rating": 4, "text": "Good in the morning."}


class PagesTest(TestCase):
    def setUp(self):
        cache.clear()

    @override_settings(RELEASE="1a2b3c4d5e6f")
    def test_the_list_names_products_and_release(self):
        response = self.client.get("/")
        self.assertContains(response, "Darjeeling")
        self.assertContains(response, "Release 1a2b3c4d5e6f")

    def test_the_list_is_one_query(self):
        with self.assertNumQueries(1):
            self.client.get("/")

    def test_a_product_is_not_asked_for_again_for_some_seconds_its_reviews_are(self):
        for queries in (2, 1):
            with self.assertNumQueries(queries):
                self.assertContains(self.client.get("/products/assam/"), "Assam")

    def test_another_release_has_a_product_of_its_own(self):
        for release in ("1a2b3c4d5e6f", "6f5e4d3c2b1a"):
            with override_settings(RELEASE=release), self.assertNumQueries(2):
                self.client.get("/products/assam/")

    def test_an_unknown_product_is_not_found(self):
        self.assertEqual(self.client.get("/products/coffee/").status_code, 404)

    def test_slow_refuses_what_is_no_number_from_0_to_5(self):
        self.assertEqual(self.client.get("/slow/?seconds=0").json()["seconds"], 0)
        for seconds in ("6", "-1", "nan", "x"):
            with self.subTest(seconds):
                self.assertEqual(self.client.get("/slow/", {"seconds": seconds}).status_code, 400)


class ReviewTest(TestCase):
    def test_a_review_is_shown_on_the_page_of_its_product(self):
        response = self.client.post("/products/assam/review/", REVIEW, follow=True)
        self.assertRedirects(response, "/products/assam/")
        self.assertContains(response, "Thank you")
        self.assertContains(response, "Good in the morning.")

    def test_a_rating_above_five_is_refused(self):
        response = self.client.post("/products/assam/review/", REVIEW | {"rating": 6})
        self.assertContains(response, "less than or equal to 5")
        self.assertFalse(Review.objects.exists())

    def test_an_empty_form_is_refused(self):
        self.assertContains(self.client.post("/products/assam/review/"), "This field is required")

    def test_a_post_without_a_csrf_token_is_refused(self):
        response = Client(enforce_csrf_checks=True).post("/products/assam/review/", REVIEW)
        self.assertEqual(response.status_code, 403)


class OrderTest(TestCase):
    def order(self, data):
        return self.client.post("/orders/", data, content_type="application/json")

    def test_an_order_is_stored(self):
        response = self.order({"product": "sencha", "quantity": 2})
        self.assertEqual(response.status_code, 201)
        order = Order.objects.get(pk=response.json()["order"])
        self.assertEqual((order.product, order.quantity), (Product.objects.get(slug="sencha"), 2))

    def test_a_bad_order_is_refused(self):
        for data in ({}, {"product": "coffee", "quantity": 1}, {"product": "sencha", "quantity": 0}, [1], "{", "1"):
            with self.subTest(data=data):
                self.assertEqual(self.order(data).status_code, 400)
        self.assertFalse(Order.objects.exists())
