"""``python -m views_app.fill`` makes the table and its rows."""

import django

django.setup()

from django.db import connection  # noqa: E402

from views_app.models import Tea  # noqa: E402
from views_app.views import TEAS  # noqa: E402

with connection.schema_editor() as editor:
    editor.create_model(Tea)
Tea.objects.bulk_create(Tea(name=f"Tea {number}", price=number) for number in range(TEAS))
