"""The network to the database stalls, is absent, and loses connections amid changes: no job is lost, none doubled."""

import random
import time
from pathlib import Path

from chaos import evidence
from chaos.clients import Crowd
from chaos.history import check
from chaos.network import AMID_A_CHANGE, BEFORE_ITS_COMMIT, UNCONFIRMED, Network
from chaos.run import PROFILES, settle
from gateway.store import chain
from live import eventually, live_gateway
from postgres import LASTING, own_server

LEASE = 3.0
SEED, LOST, CLIENTS = 7, 12, 6


def test_connections_that_are_lost_at_the_worst_moment_cost_and_double_nothing(
    tmp_path: Path, postgres_programs: Path
) -> None:
    chance, data = random.Random(SEED), tmp_path / "data"
    moments = [AMID_A_CHANGE, BEFORE_ITS_COMMIT, UNCONFIRMED] * (LOST // 3)
    chance.shuffle(moments)
    with own_server(postgres_programs, LASTING) as server, Network(server.port) as network:
        with live_gateway(
            data,
            workers=2,
            render="cached",
            profiles_dir=str(PROFILES),
            database_url=server.url.replace(f":{server.port}", f":{network.port}"),
            lease_seconds=LEASE,
        ) as live:
            issued, media = live.issue(), live.supervisor.settings.media
            live.control("PUT", "/control/profile", json={"name": "brief"})
            crowd = Crowd(live.url, issued["token"], SEED, CLIENTS, time.monotonic() + 200)
            crowd.start()
            eventually(lambda: crowd.downloads, within=60)
            for number, moment in enumerate(moments, 1):
                network.lose(moment)
                eventually(lambda number=number: network.lost == number, within=60)  # type: ignore[misc]
                time.sleep(chance.uniform(0, 0.3))
                if number == LOST // 3:
                    network.cut()
                elif number == LOST // 2:
                    with network.stalled():
                        time.sleep(LEASE + 1)  # the fault itself
                elif number == LOST * 2 // 3:
                    with network.absent():
                        time.sleep(1)
            done = len(crowd.downloads)
            eventually(lambda: len(crowd.downloads) >= done + 3, within=90)
            crowd.end()
            assert [child.name for child in live.supervisor.children if child.process.poll() is not None] == []
            settle(live)
        history = evidence.history(server.url, media, issued["accessor"], crowd, 3)
        assert chain.verify(server.url).broken is None
    assert check(history) == []
    assert crowd.broken == []
