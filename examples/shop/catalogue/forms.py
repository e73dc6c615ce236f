from django import forms

from catalogue.models import Order, Product, Review


class ReviewForm(forms.ModelForm):
    class Meta:
        model = Review
        fields = ["author", "rating", "text"]


class OrderForm(forms.ModelForm):
    product = forms.ModelChoiceField(Product.objects.all(), to_field_name="slug")

    class Meta:
        model = Order
        fields = ["product", "quantity"]
