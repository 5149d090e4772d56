"""The gate's encrypted line to the program on the node (node.py): a question, an answer."""

import asyncio

import zmq
import zmq.asyncio

SECONDS = 3.0


class NoAnswer(Exception):
    """The node does not answer."""


class Line:
    """Asks one question at a time, from whichever task."""

    def __init__(self, context: zmq.asyncio.Context, ip: str, port: int, curve: tuple[bytes, bytes]) -> None:
        self.context, self.address, self.curve = context, f"tcp://{ip}:{port}", curve
        self.turn = asyncio.Lock()
        self.socket: zmq.asyncio.Socket | None = None

    async def ask(self, **question: object) -> dict:
        """Return the answer. Raises NoAnswer."""
        async with self.turn:
            if self.socket is None:
                self.socket = self.context.socket(zmq.REQ)
                self.socket.linger = 0
                self.socket.curve_publickey, self.socket.curve_secretkey = self.curve
                self.socket.curve_serverkey = self.curve[0]
                self.socket.connect(self.address)
            try:
                async with asyncio.timeout(SECONDS):
                    await self.socket.send_json(question)
                    return await self.socket.recv_json()
            except TimeoutError:
                self.close()  # the next question gets a new socket: this one would wait for the lost answer
                raise NoAnswer(f"the node at {self.address} did not answer within {SECONDS:.0f} s") from None
            except asyncio.CancelledError:
                self.close()
                raise

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None
