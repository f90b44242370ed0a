"""The short form of tests/kills/collection.py.

The collect stage, killed with kill -9 at random moments, ends in a straight run's bytes.
"""

import pytest
from kills import collection

KILLS = 2


@pytest.fixture
def base(tmp_path, pocket_folder):
    """A folder for runs, with the base model ready."""
    (tmp_path / "models").symlink_to(pocket_folder.parent)
    return tmp_path


@pytest.mark.slow
def test_programs_killed_at_random_moments_write_the_bytes_of_a_straight_run(base):
    collection.programs_killed(base, KILLS)


def test_calls_killed_at_random_moments_are_made_once_and_give_the_bytes_of_a_straight_run(base):
    collection.calls_killed(base, KILLS)
