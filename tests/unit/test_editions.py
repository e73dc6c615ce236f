"""Folders that are never changed, and the links that lead to them."""

import os

import pytest

import editions
import staging


@pytest.fixture(autouse=True)
def no_sync(monkeypatch):
    # Syncing every disk of the machine is for power failures, which no test has.
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture
def link(tmp_path):
    return tmp_path / "files/set"


def publish(link, text):
    with editions.next_of(link) as new:
        new.mkdir()
        (new / "file").write_text(text)
        editions.publish(new, link)


def there(link):
    return sorted(path.name for path in link.parent.iterdir())


def test_a_link_leads_to_what_was_published_last_and_the_edition_before_stays(link):
    publish(link, "one")
    first = editions.led_to(link)
    publish(link, "two")
    assert (link / "file").read_text() == "two"
    assert (first / "file").read_text() == "one"


def test_what_is_no_link_leads_to_itself(tmp_path):
    assert editions.led_to(tmp_path) == tmp_path


def test_a_link_in_another_folder_leads_to_the_edition_without_detours(link, tmp_path):
    publish(link, "one")
    (tmp_path / "slots").mkdir()
    (tmp_path / "slots/blue").symlink_to(f"../files/{link.readlink()}")
    assert editions.led_to(tmp_path / "slots/blue") == editions.led_to(link)


def test_an_edition_that_is_not_published_is_gone(link):
    publish(link, "one")
    before = there(link)
    with pytest.raises(ValueError, match="no good"), editions.next_of(link) as new:
        new.mkdir()
        raise ValueError("no good")
    assert there(link) == before


def test_what_a_killed_run_has_left_is_no_obstacle(link):
    (link.parent / ".tmp-set").mkdir(parents=True)
    publish(link, "one")
    assert len(there(link)) == 2


def test_a_kill_before_the_link_moves_leaves_the_edition_before(link, monkeypatch):
    publish(link, "one")
    monkeypatch.setattr(staging, "point", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        publish(link, "two")
    assert (link / "file").read_text() == "one"


def test_editions_to_which_no_link_leads_are_removed_and_no_others(link, tmp_path):
    (tmp_path / "slots").mkdir()
    for text in ("one", "two", "three", "four"):
        publish(link, text)
        if text == "one":
            (link.parent / "blue").symlink_to(link.readlink())
        if text == "two":
            (tmp_path / "slots/green").symlink_to(f"../files/{link.readlink()}")
    (link.parent / "of.somebody-else").mkdir()
    editions.clean(link.parent, tmp_path / "slots")
    texts = sorted(path.read_text() for path in link.parent.glob("set.*/file"))
    assert texts == ["four", "one", "two"]
    assert (link.parent / "of.somebody-else").is_dir()


def test_where_there_is_no_folder_nothing_is_to_be_removed(tmp_path):
    editions.clean(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_link_is_given_back_to_the_edition_of_somebody_who_uses_one(link):
    publish(link, "one")
    blue = link.with_name("blue")
    blue.symlink_to(link.readlink())
    publish(link, "two")
    editions.give_back(link, blue)
    assert (link / "file").read_text() == "one"


@pytest.mark.parametrize("user", ["nowhere", "other"])
def test_a_link_is_given_back_to_no_edition_but_its_own(link, user):
    publish(link, "one")
    publish(link.with_name("other"), "of another link")
    editions.give_back(link, link.with_name(user))
    assert (link / "file").read_text() == "one"
