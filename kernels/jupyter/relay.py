"""The gate's sockets: a kernel's five channels on this machine, and the same five of the kernel on the node.

While there is no kernel behind them they answer for it: a cell that is run waits, and says under itself why. Messages
are passed on as they are, with their signatures. Protocol: "Messaging in Jupyter" 5.4, jupyter-client.readthedocs.io.
"""

import asyncio
import contextlib
import json
import platform
import uuid
from dataclasses import dataclass

import zmq
import zmq.asyncio
from jupyter_client.session import DELIM, Session

LOCAL = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.XPUB, "hb": zmq.REP}
REMOTE = {"shell": zmq.DEALER, "control": zmq.DEALER, "stdin": zmq.DEALER, "iopub": zmq.SUB}
INFO = {
    "protocol_version": "5.3",
    "implementation": "ipython",
    "implementation_version": "",
    "language_info": {
        "name": "python",
        "version": platform.python_version(),
        "mimetype": "text/x-python",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
        "file_extension": ".py",
    },
    "banner": "A Python kernel on a Slurm node",
    "help_links": [],
}
# What a client asks as soon as it is connected; it wants to know before it shows the kernel as ready.
AT_ONCE = {"kernel_info_request": INFO, "history_request": {"history": []}, "comm_info_request": {"comms": {}}}


@dataclass
class Request:
    """A message of a client's, and where its answer goes."""

    frames: list[bytes]

    def __post_init__(self) -> None:
        start = self.frames.index(DELIM)
        self.identities, self.header = self.frames[:start], json.loads(self.frames[start + 2])

    @property
    def kind(self) -> str:
        return self.header["msg_type"]

    @property
    def id(self) -> str:
        return self.header["msg_id"]


class Relay:
    """The channels; `asked` has the cells that the kernel on the node has been given and has not answered."""

    def __init__(self, key: bytes, scheme: str, curve: tuple[bytes, bytes]) -> None:
        self.session = Session(key=key, signature_scheme=scheme)
        self.context = zmq.asyncio.Context()
        self.curve = curve  # public and secret key, for both sides
        self.local = {name: self._socket(kind) for name, kind in LOCAL.items()}
        self.ports = {}
        for name, socket in self.local.items():
            socket.curve_publickey, socket.curve_secretkey = curve
            socket.curve_server = True
            self.ports[f"{name}_port"] = socket.bind_to_random_port("tcp://127.0.0.1")
        self.remote: dict[str, zmq.asyncio.Socket] = {}
        self.open = False  # whether messages go to the node
        self.held: list[tuple[str, Request]] = []  # what came while it was not
        self.asked: dict[str, Request] = {}
        self.over = ""  # why no kernel will come, if none will
        self.news = ""  # why it is not there yet
        self.remarks: list[str] = []  # for the next cell
        self.notice = {"level": "ready", "text": ""}  # the last; who connects later gets it, too
        self.on_shutdown = lambda: None  # what a client can ask for while there is no kernel
        self._shown = ""
        self._tasks = [asyncio.create_task(self._from_clients(name)) for name in ("shell", "control", "stdin")]
        self._tasks += [asyncio.create_task(self._heartbeat()), asyncio.create_task(self._subscriptions())]
        self._from_node: list[asyncio.Task] = []

    def _socket(self, kind: int) -> zmq.asyncio.Socket:
        socket = self.context.socket(kind)
        socket.linger = 1000
        socket.set_hwm(0)  # nothing is dropped here
        if kind == zmq.ROUTER:
            socket.router_handover = 1  # a client that comes back under its old name
        return socket

    # --- what the gate tells

    async def tell(self, news: str) -> None:
        """Say why there is no kernel yet, under the first cell that waits for it."""
        self.news = news
        waiting = self._first_held()
        if waiting is None or self._shown == news:
            return
        if self._shown:
            await self._publish("clear_output", {"wait": True}, waiting)
        await self._publish("stream", {"name": "stdout", "text": news + "\n"}, waiting)
        self._shown = news

    async def notify(self, level: str, text: str = "") -> None:
        """Say something whether a cell runs or not: "info", "warning", "error", or "ready" to take it back.

        labextension/static/notices.js shows it in JupyterLab; other programs do not know this type of message.
        """
        notice = {"level": level, "text": text}
        if notice != self.notice:
            self.notice = notice
            await self._publish("aurora_notice", notice)

    async def remark(self, text: str) -> None:
        """Say something under the cell that runs, or else under the next that is run."""
        await self.notify("warning", text)
        if self.open and self.asked:
            await self._publish("stream", _stderr(text), next(iter(self.asked.values())))
        else:
            self.remarks.append(text)

    async def connect(self, connection: dict) -> None:
        """Pass messages on to the kernel on the node from now on; what was held goes first."""
        await self.disconnect()
        # One name on all channels: the kernel asks for input where the request came from.
        name = uuid.uuid4().bytes
        for channel, kind in REMOTE.items():
            socket = self._socket(kind)
            socket.identity = name
            socket.curve_publickey, socket.curve_secretkey = self.curve
            socket.curve_serverkey = self.curve[0]
            if kind == zmq.SUB:
                socket.subscribe(b"")
            socket.connect(f"tcp://{connection['ip']}:{connection[f'{channel}_port']}")
            self.remote[channel] = socket
        await self._listen()
        self._from_node = [asyncio.create_task(self._from_kernel(channel)) for channel in REMOTE]
        if self._shown and (waiting := self._first_held()):
            await self._publish("clear_output", {"wait": False}, waiting)
        self._shown = self.over = ""
        await self.notify("ready")
        while self.held:
            await self._pass_on(*self.held.pop(0))
        self.open = True

    async def _listen(self) -> None:
        """Return when the kernel answers, and what it publishes arrives: a subscription takes its time."""
        answered = published = False
        while not (answered and published):
            await self.remote["shell"].send_multipart(self.session.serialize(self.session.msg("kernel_info_request")))
            answered = bool(await self.remote["shell"].poll(500)) or answered
            published = bool(await self.remote["iopub"].poll(500)) or published
        # The answers to the questions above; none of a client's has been asked yet.
        while await self.remote["shell"].poll(100):
            await self.remote["shell"].recv_multipart()

    async def disconnect(self) -> None:
        """Hold messages back; cells that the kernel has not answered get no answer, as when any kernel ends."""
        self.open = False
        self.asked.clear()
        for task in self._from_node:
            task.cancel()
        for socket in self.remote.values():
            socket.close(linger=0)
        self._from_node, self.remote = [], {}

    async def fail(self, text: str) -> None:
        """No kernel will come: give `text` as the error of every cell that waits or runs, and of each one to come."""
        self.over = text
        left = [*self.asked.values(), *(request for _, request in self.held)]
        await self.disconnect()
        self.held.clear()
        self._shown = ""
        await self.notify("error", text)
        for request in left:
            await self._refuse(request, "JobEnded", text)

    async def give_up(self, text: str) -> None:
        """Answer the cells that wait for a kernel as if they had been interrupted."""
        held, self.held = self.held, []
        self._shown = ""
        for _, request in held:
            await self._refuse(request, "KeyboardInterrupt", text)

    def forget(self) -> None:
        """Begin anew: cells that wait, and errors, are of the kernel before."""
        self.held.clear()
        self.over = self._shown = ""

    async def close(self) -> None:
        """Close all sockets."""
        await self.disconnect()
        for task in self._tasks:
            task.cancel()
        for socket in self.local.values():
            socket.close(linger=500)
        self.context.term()  # waits for what is still to be sent, as long as its sockets linger

    # --- what clients and the kernel say

    async def _from_clients(self, channel: str) -> None:
        while True:
            frames = await self.local[channel].recv_multipart()
            with contextlib.suppress(ValueError, KeyError, TypeError):  # not a message of Jupyter's: no answer
                request = Request(frames)
                if self.open:
                    await self._pass_on(channel, request)
                else:
                    await self._answer(channel, request)

    async def _pass_on(self, channel: str, request: Request) -> None:
        if request.kind == "execute_request":
            self.asked[request.id] = request
            for text in self.remarks:
                await self._publish("stream", _stderr(text), request)
            self.remarks.clear()
        await self.remote[channel].send_multipart(request.frames)

    async def _from_kernel(self, channel: str) -> None:
        while True:
            frames = await self.remote[channel].recv_multipart()
            if channel == "shell":
                start = frames.index(DELIM)
                if start == 0:
                    continue  # a late answer to a question of our own
                self.asked.pop(json.loads(frames[start + 3]).get("msg_id"), None)
            await self.local[channel].send_multipart(frames)

    async def _answer(self, channel: str, request: Request) -> None:
        """Answer in the kernel's place, as far as one can; hold the rest until it comes."""
        _, parts = self.session.feed_identities(request.frames)
        self.session.deserialize(parts)  # raises ValueError if the signature is wrong
        kind = request.kind
        if kind in AT_ONCE:
            await self._publish("status", {"execution_state": "busy"}, request)
            await self._reply(channel, request, {"status": "ok", **AT_ONCE[kind]})
            await self._publish("status", {"execution_state": "idle"}, request)
        elif kind == "shutdown_request":
            await self._reply(channel, request, {"status": "ok", "restart": False})
            self.on_shutdown()
        elif kind == "interrupt_request":
            await self._reply(channel, request, {"status": "ok"})
            await self.give_up("given up while the kernel's job waits")
        elif channel == "control" or self.over:
            await self._refuse(request, "JobEnded" if self.over else "NoKernelYet", self.over or self.news, channel)
        else:
            self.held.append((channel, request))
            if kind == "execute_request":
                await self._publish("status", {"execution_state": "busy"}, request)
                await self.tell(self.news)

    async def _refuse(self, request: Request, name: str, text: str, channel: str = "shell") -> None:
        error = {"status": "error", "ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}
        if request.kind == "execute_request":
            await self._publish("status", {"execution_state": "busy"}, request)
            await self._publish("error", error, request)
            error |= {"execution_count": 0, "payload": [], "user_expressions": {}}
        await self._reply(channel, request, error)
        await self._publish("status", {"execution_state": "idle"}, request)

    async def _reply(self, channel: str, request: Request, content: dict) -> None:
        kind = request.kind.replace("_request", "_reply")
        message = self.session.msg(kind, content, parent={"header": request.header})
        await self.local[channel].send_multipart(self.session.serialize(message, ident=request.identities))

    async def _publish(self, kind: str, content: dict, request: Request | None = None) -> None:
        message = self.session.msg(kind, content, parent={"header": request.header} if request else None)
        topic = f"kernel.{self.session.session}.{kind}".encode()
        await self.local["iopub"].send_multipart(self.session.serialize(message, ident=topic))

    def _first_held(self) -> Request | None:
        return next((request for _, request in self.held if request.kind == "execute_request"), None)

    async def _heartbeat(self) -> None:
        while True:
            await self.local["hb"].send_multipart(await self.local["hb"].recv_multipart())

    async def _subscriptions(self) -> None:
        while True:
            event = await self.local["iopub"].recv()
            if event.startswith(b"\x01") and self.notice["level"] != "ready":
                await self._publish("aurora_notice", self.notice)


def _stderr(text: str) -> dict:
    return {"name": "stderr", "text": text + "\n"}
