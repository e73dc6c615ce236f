"""The one table."""

from django.db import models


class Tea(models.Model):
    """A row with a text, a number and a time."""

    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    added = models.DateTimeField(auto_now_add=True)
