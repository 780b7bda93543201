"""Connections that are kept for the next run, and how many."""

from exporter.transport.pool import Pool


class Idle:
    usable = True
    on_lost = None
    dropped = False

    def __init__(self, files: int = 1) -> None:
        self.files = files

    def abort(self) -> None:
        self.dropped = True


def key(number: int) -> tuple[str, str]:
    return f"t{number}", "health"


def test_when_it_is_full_a_newer_connection_is_closed() -> None:
    """The oldest is the next that is wanted: in its place nobody would ever find theirs again."""
    pool = Pool(limit=2)
    kept = [Idle() for _ in range(3)]
    for _ in range(3):
        for number in range(3):
            kept[number] = pool.take(key(number), None, Idle) or Idle()
            pool.put(key(number), kept[number], None)
    assert [connection.dropped for connection in kept] == [False, False, True]
    assert pool.take(key(1), None, Idle) is kept[1]


def test_what_counts_is_descriptors_and_all_are_given_back() -> None:
    pool = Pool(limit=4)
    relay, plain, more = Idle(files=3), Idle(), Idle()
    pool.put(key(0), relay, None)
    pool.put(key(1), plain, None)
    pool.put(key(2), more, None)
    assert (relay.dropped, plain.dropped, more.dropped) == (False, False, True)
    pool.drop(key(1))
    assert pool.take(key(0), None, Idle) is relay
    again = [Idle() for _ in range(4)]
    for number, connection in enumerate(again):
        pool.put(key(number), connection, None)
    assert again[3].on_lost is not None
    again[3].on_lost(again[3])
    last = Idle()
    pool.put(key(4), last, None)
    assert not any(connection.dropped for connection in (*again, last))
    assert len(pool) == 4
