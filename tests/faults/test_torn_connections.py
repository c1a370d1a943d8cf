"""Connections end at random bytes, before and behind the receiver: what was acknowledged is stored, once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

from tests.support.contract_checker import Fate
from tests.support.fault_rig import Rig
from tests.support.tearing_proxy import Manner, TearingProxy
from tests.support.waiting import eventually

SecondRig = Callable[..., Rig]


async def test_tearing_the_way_to_the_broker_costs_nothing(
    rig: Rig, second_rig: SecondRig, chance: random.Random
) -> None:
    """F8: cut by reset or close anywhere from the handshake to the confirm, both ways, again and again."""
    async with TearingProxy(rig.broker.port, chance) as proxy:
        torn = second_rig(MODELWATCH_BROKER_URL=_through(proxy, rig))
        await torn.start_receiver()
        audit = await torn.audit()
        async with audit.load(chance) as load:
            await load.for_another(20)
            proxy.arm(12_000, 1_500)
            await load.for_another(240)
            proxy.disarm()
            await load.for_another(60)
        print(f"{proxy.tears} tears")
        assert proxy.tears >= 3
        assert all(attempt.fate is Fate.ACKNOWLEDGED for attempt in audit.journal.attempts)
        await audit.close()
        await asyncio.to_thread(torn.system.stop_all)


async def test_a_silent_way_to_the_broker_is_given_up(rig: Rig, second_rig: SecondRig, chance: random.Random) -> None:
    """F8: half open, as after a pulled cable, the connection is given up, and another one made, unaided."""
    async with TearingProxy(rig.broker.port, chance) as proxy:
        torn = second_rig(MODELWATCH_BROKER_URL=_through(proxy, rig), MODELWATCH_RABBITMQ__HEARTBEAT_S="5")
        await torn.start_receiver()
        audit = await torn.audit()
        async with audit.load(chance, rate_per_s=20) as load:
            await load.for_another(10)
            proxy.arm(20, 20, [Manner.SILENCE])
            await eventually(lambda: proxy.tears)
            proxy.disarm()
            silent_s = time.monotonic()
            await eventually(lambda: torn.figure("receiver", "exporter_reconnects"), timeout_s=30, interval_s=0.2)
            mended_s = time.monotonic()
            await load.for_another(20)
        print(f"given up after {mended_s - silent_s:.1f} s")
        assert max(attempt.took_s for attempt in audit.journal.attempts) < 2
        assert all(attempt.fate is Fate.ACKNOWLEDGED for attempt in audit.journal.attempts)
        await audit.close()
        await asyncio.to_thread(torn.system.stop_all)


async def test_tearing_the_way_of_the_senders_costs_nothing(rig: Rig, chance: random.Random) -> None:
    """F8: senders that are cut off anywhere in request or answer may try again, and count once."""
    system = rig.system
    async with TearingProxy(system.grpc_port, chance) as grpc, TearingProxy(system.http_port, chance) as http:
        audit = await rig.audit()
        async with audit.load(chance, grpc_port=grpc.port, http_port=http.port) as load:
            for proxy in (grpc, http):
                proxy.arm(6_000, 600)
            await load.for_another(240)
            for proxy in (grpc, http):
                proxy.disarm()
            await load.for_another(30)
        print(f"{grpc.tears} and {http.tears} tears")
        assert min(grpc.tears, http.tears) >= 4
        await audit.close()


def _through(proxy: TearingProxy, rig: Rig) -> str:
    return rig.view.url.get_secret_value().replace(f":{rig.broker.port}/", f":{proxy.port}/")
