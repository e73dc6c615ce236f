from django.db import migrations

PRODUCTS = [
    ("Assam", "assam", "Strong and malty black tea.", "6.50"),
    ("Darjeeling", "darjeeling", "Light black tea of the first flush.", "12.90"),
    ("Rooibos", "rooibos", "Red, sweet and without caffeine.", "4.80"),
    ("Sencha", "sencha", "Steamed green tea, fresh as grass.", "9.20"),
]


def add_products(apps, schema_editor):
    Product = apps.get_model("catalogue", "Product")
    for name, slug, description, price in PRODUCTS:
        Product.objects.get_or_create(slug=slug, defaults={"name": name, "description": description, "price": price})


class Migration(migrations.Migration):
    dependencies = [("catalogue", "0001_initial")]

    operations = [migrations.RunPython(add_products, migrations.RunPython.noop)]
