from django.db import migrations


class Migration(migrations.Migration):
    """
    The mistake of this release: v1 and v2 ask for the column in every query of a product. First a release must be
    deployed that does not use it any more, and only a later one may drop it.
    """

    dependencies = [("catalogue", "0002_first_products")]

    operations = [migrations.RemoveField("product", "description")]
