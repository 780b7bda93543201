import asyncio

from exporter.transport.connection import Connection
from exporter.transport.pool import Pool


async def test_one_that_was_dropped_is_not_used_again() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    connection = Connection(loop)
    await loop.create_connection(lambda: connection, *server.sockets[0].getsockname())
    pool, key = Pool(), ("target", "probe")
    pool.put(key, connection, "the endpoint")
    connection.abort()
    assert not connection.lost  # the loop says so in a later turn
    assert pool.take(key, "the endpoint", Connection) is None
    server.close()
    await server.wait_closed()
