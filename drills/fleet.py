"""The gateways of one drill: those that the first one knows of, each with a client of its own, on one history."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from drills.errors import DrillError
from drills.gateway import GatewayClient
from drills.replies import Status
from drills.topology import Order, ReplicaSeen, Topology

# The others read what they were told every quarter second.
HEEDED_SECONDS = 0.3
RIGHT = "strict"
# What an address is called behind which several gateways answer in turn: a proxy, or a cluster's service.
ENTRANCE = "Entrance"  # no gateway can have this name
ASKED_AGAIN = 8  # times for each replica, each over a connection of its own

Connect = Callable[[str, str], GatewayClient]


class Fleet:
    """`members` in order of their names, what the drill was pointed at first: the revocation goes to it. That is one of
    the gateways, or an entrance before them, which is asked like one besides: whatever stands there may have a memory
    of its own."""

    def __init__(self, first: GatewayClient) -> None:
        self.first = first
        self.members = [first]
        self.seen: list[ReplicaSeen] = []
        self._told: list[Order] = []

    @property
    def names(self) -> list[str]:
        """The replicas' names; empty where there is only one gateway."""
        return [member.replica for member in self.members if member.replica is not None]

    @property
    def greatest_bound(self) -> float:
        """Seconds: the longest lag that a replica declares; 0 where none does."""
        return max((one.seconds for one in self.seen if one.seconds is not None), default=0.0)

    async def join(self, status: Status, connect: Connect) -> None:
        """Find the others by what the first one says. Raises TargetDown when one of them does not answer."""
        if len(status.replicas) < 2:
            return
        own = self.first.own_name or _named(status.replicas, self.first.target)
        if own not in status.replicas:
            raise DrillError(f"{self.first.target} is none of the replicas that it names")
        known = _named(status.replicas, self.first.target) is not None
        entrance = not known and await self._is_entrance(own, len(status.replicas), connect)
        self.first.replica = ENTRANCE if entrance else own
        for name, url in status.replicas.items():
            if name != self.first.replica:
                member = connect(url, name)
                self.members.append(member)
                await member.ready()

    async def _is_entrance(self, own: str, replicas: int, connect: Connect) -> bool:
        """Whether more than one gateway answers at the target."""
        for _ in range(ASKED_AGAIN * replicas):
            caller = connect(self.first.target, own)
            try:
                await caller.ready()
            finally:
                await caller.aclose()
            if caller.own_name != own:
                return True
        return False

    @property
    def lied(self) -> bool:
        """Whether a replica was told to do anything wrong."""
        return bool(self._told)

    async def tell(self, topology: Topology, for_seconds: float) -> int:
        """Tell each replica what the scenario says, for that long at the most. The number of those that were told."""
        orders = topology.orders()
        known = [name for name in self.names if name != ENTRANCE] or (
            [one.name for one in await self.first.replicas()] if orders else []
        )
        for order in orders:
            place = topology.names().index(order.replica)
            # A gateway that has another name is meant by its place.
            if order.replica not in known and place < len(known):
                order = order.model_copy(update={"replica": known[place]})
            self._told.append(order)
            await self.first.tell(order, for_seconds)
        if orders:
            await asyncio.sleep(HEEDED_SECONDS)
        return len(orders)

    async def look(self, status: Status) -> None:
        """Note what each replica does, as the gateway says it."""
        if len(self.members) == 1 and status.consistency == RIGHT and not status.defects:
            return
        urls = status.replicas
        self.seen = [
            ReplicaSeen(name=one.name, url=urls[one.name], **one.model_dump(exclude={"name"}))
            for one in await self.first.replicas()
            if one.name in urls
        ]
        if self.first.replica == ENTRANCE:
            entrance = ReplicaSeen(name=ENTRANCE, url=self.first.target, consistency=status.consistency)
            self.seen.insert(0, entrance)

    async def take_back(self) -> int:
        """Everything that was told is right again. How many that are; each is tried, then the first failure raises."""
        failures: list[DrillError] = []
        for order in self._told:
            try:
                await self.first.tell(Order(replica=order.replica, profile=RIGHT, seconds=None, defects=[]), 1.0)
            except DrillError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        return len(self._told)

    async def aclose(self) -> None:
        for member in self.members:
            await member.aclose()


def _named(replicas: dict[str, str], target: str) -> str | None:
    """The replica that lives at that address."""
    place = urlsplit(target).netloc
    return next((name for name, url in replicas.items() if urlsplit(url).netloc == place), None)
