from django.db import migrations, models


class Migration(migrations.Migration):
    """
    The mistake of this release: the constraint passes on an empty database and fails on one with a cheaper product.
    The whole migration is one transaction, so that the column goes away with it.
    """

    dependencies = [("catalogue", "0002_first_products")]

    operations = [
        migrations.AddField("product", "weight", models.PositiveIntegerField(blank=True, help_text="grams", null=True)),
        migrations.AddConstraint(
            "product",
            models.CheckConstraint(condition=models.Q(price__gte=5), name="product_price_is_at_least_5"),
        ),
    ]
