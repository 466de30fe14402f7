"""A person without root rights sees which packages the tests need."""

from tests.system import Need, advice, missing

HERE = Need("here", lambda: True, ("here1",))
GONE = Need("gone", lambda: False, ("gone1", "fonts-gone"))
LOST = Need("lost", lambda: False, ("lost1",))


def test_only_requirements_that_are_absent_count_as_missing() -> None:
    assert missing([HERE, GONE, LOST]) == [GONE, LOST]


def test_the_advice_names_the_missing_requirements_and_their_packages() -> None:
    assert advice([GONE, LOST]) == (
        "The tests need what is missing here: gone, lost. As root on Debian: apt-get install gone1 fonts-gone lost1"
    )
