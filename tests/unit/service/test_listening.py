"""The socket that the service listens on."""

from __future__ import annotations

import asyncio
import socket

from service.__main__ import _bind


def test_an_answer_leaves_at_once() -> None:
    """asyncio sets TCP_NODELAY on what is accepted: else an answer waits 40 ms for a delayed acknowledgement."""

    async def accepted() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def see(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        listener = _bind("127.0.0.1", 0)
        async with await asyncio.start_server(see, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            set_on_it = await told
            writer.close()
            await writer.wait_closed()
        return set_on_it

    assert asyncio.run(accepted()) != 0
