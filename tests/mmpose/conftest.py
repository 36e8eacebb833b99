"""Fixtures of several of these tests."""

import pytest


@pytest.fixture(scope='session')
def blobs(tmp_path_factory):
    """The folder of the dataset of blobs; the model that reads them is registered."""
    from cpm_testing.blobs import make_blobs, registered_blobs

    with registered_blobs():
        yield make_blobs(tmp_path_factory.mktemp('blobs'))
