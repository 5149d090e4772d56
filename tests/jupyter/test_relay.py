"""The gate's relay between a client and a kernel on this machine, which stands for the one on the node."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import zmq
from aurora_kernels.jupyter.relay import Relay
from jupyter_client import AsyncKernelClient

KEY, SCHEME = b"a key of this test", "hmac-sha256"


def keys(relay):
    """Return a kernel's connection but for the ports."""
    public, secret = (key.decode() for key in relay.curve)
    info = {"ip": "127.0.0.1", "transport": "tcp", "key": KEY.decode(), "signature_scheme": SCHEME}
    return {**info, "curve_publickey": public, "curve_secretkey": secret}


class Client:
    """A Jupyter client on the relay's side for clients; `seen` is what arrives under its cells."""

    def __init__(self, relay):
        self.client = AsyncKernelClient()
        self.client.load_connection_info({**keys(relay), **relay.ports})
        self.client.start_channels()
        self.seen = []
        self.listening = asyncio.create_task(self._listen())

    async def _listen(self):
        while True:
            message = await self.client.get_iopub_msg()
            self.seen.append((message["msg_type"], message["content"]))

    async def reply(self, to):
        while True:
            message = await self.client.get_shell_msg(timeout=20)
            if message["parent_header"]["msg_id"] == to:
                return message["content"]

    async def has(self, kind, words=""):
        """Wait until something of this kind, with these words, has been published."""
        for _ in range(200):
            if any(kind == one and words in json.dumps(content) for one, content in self.seen):
                return True
            await asyncio.sleep(0.05)
        return False

    def close(self):
        self.listening.cancel()
        self.client.stop_channels()


def relayed(test):
    """Run a test in a loop, with a relay and a client that is connected to it."""

    def run():
        async def inside():
            relay = Relay(KEY, SCHEME, zmq.curve_keypair())
            client = Client(relay)
            try:
                while not client.seen:  # a subscription takes its time: clients ask until they hear something
                    client.client.kernel_info()
                    await asyncio.sleep(0.1)
                assert await client.has("status", "idle")
                await test(relay, client)
            finally:
                client.close()
                await relay.close()

        asyncio.run(inside())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@relayed
async def test_a_cell_waits_and_says_why(relay, client):
    await relay.tell("Job 12 waits: others are before it")
    cell = client.client.execute("1")
    assert await client.has("stream", "others are before it")
    await relay.tell("Job 12 is next")
    assert await client.has("clear_output")
    assert await client.has("stream", "is next")
    await relay.give_up("given up while job 12 waits")
    reply = await client.reply(cell)
    assert (reply["status"], reply["ename"], reply["evalue"]) == (
        "error",
        "KeyboardInterrupt",
        "given up while job 12 waits",
    )


@relayed
async def test_what_a_client_asks_at_once_is_answered(relay, client):
    assert (await client.reply(client.client.history()))["history"] == []
    assert (await client.reply(client.client.comm_info()))["comms"] == {}


@relayed
async def test_no_kernel_will_come(relay, client):
    waiting = client.client.execute("1")
    assert await client.has("status", "busy")
    await asyncio.sleep(0.1)
    await relay.fail("Job 12 has ended: it was cancelled.")
    assert (await client.reply(waiting))["evalue"] == "Job 12 has ended: it was cancelled."
    assert (await client.reply(client.client.execute("2")))["ename"] == "JobEnded"
    assert (await client.reply(client.client.complete("imp")))["status"] == "error"
    assert await client.has("aurora_notice", "error")


@relayed
async def test_a_shutdown_while_there_is_no_kernel(relay, client):
    asked = []
    relay.on_shutdown = lambda: asked.append(True)
    client.client.shutdown()
    for _ in range(100):
        await asyncio.sleep(0.02)
    assert asked == [True]


@relayed
async def test_rubbish_and_a_wrong_signature_are_not_answered(relay, client):
    context = zmq.Context()
    socket = context.socket(zmq.DEALER)
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = *relay.curve, relay.curve[0]
    socket.connect(f"tcp://127.0.0.1:{relay.ports['shell_port']}")
    header = {"msg_id": "1", "msg_type": "kernel_info_request", "session": "x", "username": "x", "version": "5.3"}
    socket.send_multipart([b"nonsense"])
    socket.send_multipart([b"<IDS|MSG>", b"wrong", json.dumps(header).encode(), b"{}", b"{}", b"{}"])
    socket.send_multipart([b"<IDS|MSG>", b"wrong", b"[]", b"{}"])
    await asyncio.sleep(0.3)
    assert not socket.poll(0)
    assert (await client.reply(client.client.history()))["status"] == "ok", "it still serves others"
    socket.close(linger=0)
    context.term()


@pytest.mark.timeout(60)
@relayed
async def test_messages_reach_a_kernel_and_held_ones_go_first(relay, client):
    folder = tempfile.TemporaryDirectory()
    file = Path(folder.name, "connection.json")
    file.write_text(json.dumps(keys(relay) | dict.fromkeys(relay.ports, 0)))
    process = subprocess.Popen([sys.executable, "-m", "ipykernel_launcher", "-f", file])
    try:
        await relay.tell("Job 12 waits")
        first = client.client.execute("x = 20; print('first')")
        second = client.client.execute("x + 22")
        end = time.monotonic() + 30
        while not all(json.loads(file.read_text())[name] for name in relay.ports):
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        await relay.remark("Job 12 ends in 2 minutes")
        await relay.connect(json.loads(file.read_text()))
        assert (await client.reply(first))["status"] == "ok"
        assert (await client.reply(second))["status"] == "ok"
        assert await client.has("execute_result", "42")
        assert await client.has("stream", "ends in 2 minutes"), "what there was to say stands under the next cell"
        order = [kind for kind, _ in client.seen]
        assert order.index("clear_output") < order.index("execute_input"), "what was said while it waited is gone"

        # A cell that runs when the job ends gets an error.
        third = client.client.execute("import time; print('begun', flush=True); time.sleep(60)")
        assert await client.has("stream", "begun")
        await relay.fail("Job 12 has ended")
        assert (await client.reply(third))["evalue"] == "Job 12 has ended"
    finally:
        process.kill()
        process.wait()
        folder.cleanup()
