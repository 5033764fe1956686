import pytest


@pytest.fixture
def quick_commits():
    """No waiting for the disk, which only a power failure makes worth it."""
    from sqlalchemy import Engine, event

    def hurry(connection, record):
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hurry)
    yield
    event.remove(Engine, "connect", hurry)
