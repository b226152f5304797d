"""A server that answers a byte at a time is given up after the time limit of the request, in every client."""

import asyncio
import time

import httpx
import pytest

from benchmarks.standstills.dripping import dripping_server
from tasks.deadlines import limit_answers

limit_answers()

MANNERS = ("silent", "headers", "body")


@pytest.mark.parametrize("manner", MANNERS)
def test_a_dripping_server_is_given_up_in_time(manner):
    with dripping_server(manner) as address:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(address, timeout=1.0)
        assert 0.9 < time.monotonic() - began < 5


@pytest.mark.parametrize("manner", MANNERS)
def test_and_so_it_is_in_an_event_loop(manner):
    async def get(address: str) -> None:
        async with httpx.AsyncClient(timeout=1.0) as client:
            await client.get(address)

    with dripping_server(manner) as address:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            asyncio.run(get(address))
        assert 0.9 < time.monotonic() - began < 5


def test_the_time_counts_anew_for_every_request_of_a_connection():
    with dripping_server("body", answered=["/whole"]) as address, httpx.Client() as client:
        for _ in range(4):
            assert client.get(f"{address}/whole", timeout=1.0).is_success
            time.sleep(0.4)
