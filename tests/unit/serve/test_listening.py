"""The address of a server is taken first: whoever cannot have it has changed nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import socket

import pytest

from genloom.cli import main
from genloom.errors import BadInput
from genloom.serve import listening as module
from genloom.serve.listening import listening


def test_a_client_that_comes_early_waits_and_the_port_is_free_again_at_once():
    with listening("127.0.0.1", 0) as (one,):
        host, port = one.getsockname()
        assert host == "127.0.0.1" and port > 0
        with socket.create_connection((host, port)) as client:
            server, _ = one.accept()
            with server:
                client.sendall(b"a")
                assert server.recv(1) == b"a"
    with listening(host, port) as (again,):  # though a connection of before is not forgotten yet
        assert again.getsockname() == (host, port)


def test_what_is_small_is_sent_at_once():
    """Else an answer on a kept connection waits some 40 ms for the acknowledgement of the last."""

    async def accepted() -> int:
        found = asyncio.get_running_loop().create_future()

        async def heard(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            own = writer.get_extra_info("socket")
            found.set_result(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        with listening("127.0.0.1", 0) as (one,):
            server = await asyncio.start_server(heard, sock=one)
            _, writer = await asyncio.open_connection(*one.getsockname())
            at_once = await asyncio.wait_for(found, 10)
            writer.close()
            server.close()
        return at_once

    assert asyncio.run(accepted())


def test_a_port_in_use_is_one_line_and_nothing_is_written(tmp_path, capsys):
    with listening("127.0.0.1", 0) as (one,):
        port = one.getsockname()[1]
        assert main(["serve", "--port", str(port), "--folder", str(tmp_path / "state")]) == 2
    said = capsys.readouterr()
    why = f"genloom: port {port} of 127.0.0.1 is in use: choose another with --port N.\n"
    assert (said.out, said.err) == ("", why)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "x" * 300])
def test_a_host_that_is_another_machine_or_none_is_refused(host):
    with pytest.raises(BadInput, match=f"--host {host} is no address of this machine"):
        listening(host, 0).__enter__()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_number_of_16_bits(port):
    with pytest.raises(BadInput, match=f"--port {port}: it must be 0 to 65535"):
        listening("127.0.0.1", port).__enter__()


@pytest.mark.parametrize(
    ("number", "why"), [(errno.EACCES, "choose one from 1024"), (errno.ENOBUFS, "buffer space")]
)
def test_what_is_not_allowed_is_told(monkeypatch, number, why):
    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(module, "_listen", refused)
    with pytest.raises(BadInput, match=f"port 80 .*{why}"):
        listening("127.0.0.1", 80).__enter__()


def test_all_addresses_of_a_name_have_one_port_and_a_family_that_is_not_there_none(monkeypatch):
    def known(*_, **__):
        kind = socket.SOCK_STREAM
        families = (socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "192.0.2.1")
        more = (socket.AF_INET, "127.0.0.2")
        return [(family, kind, 6, "", (address, 0)) for family, address in (*families, more)]

    monkeypatch.setattr(module.socket, "getaddrinfo", known)
    with listening("loom", 0) as found:
        ports = {one.getsockname() for one in found}
    assert {host for host, _ in ports} == {"127.0.0.1", "127.0.0.2"}
    assert len({port for _, port in ports}) == 1
