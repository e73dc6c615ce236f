from django.db import migrations, models


class Migration(migrations.Migration):
    """Additive: the columns have defaults in the database, so the release before goes on inserting rows."""

    dependencies = [("catalogue", "0002_first_products")]

    operations = [
        migrations.AddField("product", "origin", models.CharField(blank=True, db_default="", max_length=80)),
        migrations.AddField("order", "gift", models.BooleanField(db_default=False)),
    ]
