import pytest

import spare_databases

LONG = "a" * 63


@pytest.mark.parametrize("name", ["shop", LONG])
def test_postgresql_takes_the_names_as_they_are_and_they_are_known_again(name):
    for spare in (spare_databases.restored(name), spare_databases.replaced(name)):
        assert spare != name
        assert spare.startswith(name[:37])
        assert len(spare) <= 63
        assert spare_databases.is_spare(spare)


@pytest.mark.parametrize("name", ["shop", "_restored", "shop_restored_x", "shop_replaced_", "shop_replaced_by_me", ""])
def test_no_other_name_is_taken_for_one_of_these(name):
    assert not spare_databases.is_spare(name)
