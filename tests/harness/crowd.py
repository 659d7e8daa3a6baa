"""Several transformers and a poller, each a process behind a proxy of its own that lies now and then, to be hit."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.harness.actions import Action
from tests.harness.blows import Way
from tests.harness.long_run import line
from tests.harness.pipeline import Pipeline
from tests.harness.proxy import Call, FaultProxy, Rule
from tests.harness.victim import Victim

TABLES = frozenset({"kinesis", "dynamodb"})
FAULTS = (
    Rule(action=Action.DROP_AFTER, chance=0.02),
    Rule(action=Action.DROP_BEFORE, chance=0.01),
    Rule(action=Action.ERROR, chance=0.01),
    Rule(action=Action.THROTTLE, chance=0.01),
    *(Rule(action=Action.CORRUPT, service=service, chance=0.005) for service in sorted(TABLES)),
    Rule(action=Action.MUTE, service="kinesis", operations=frozenset({"PutRecords"}), chance=0.02, limit=2),
    Rule(action=Action.DELAY, seconds=0.3, chance=0.03),
)
"""Of all calls of all, all the time. Nothing garbles S3 here: its answers carry their length and a digest."""


class Crowd:
    """The processes. `reborn` is called ahead of each life of the poller but the first, with its settings to change."""

    def __init__(
        self,
        pipeline: Pipeline,
        stack: ExitStack,
        *,
        cloud: str,
        others: Mapping[str, str],
        source: Path,
        seed: int,
        transformers: int,
        failover: float,
        page_events: int,
        settings: Mapping[str, str],
        reborn: Callable[[Callable[..., None]], None] = lambda _: None,
    ) -> None:
        shared = {**settings, "HEADRACE_FAILOVER": f"{failover:g}s"}

        def victim(name: str, number: int, files: Sequence[Path] = (), **more: str) -> Victim:
            proxy = stack.enter_context(FaultProxy(cloud, others=others, seed=seed + number))
            service = pipeline.service(name, files=files, proxy=proxy, **shared, **more)
            stack.callback(service.kill)
            before = (lambda: reborn(service.configure)) if files else (lambda: None)
            return Victim(service, proxy, failover=failover, before_birth=before)

        names = ["transformer", *(f"transformer-{number}" for number in range(2, transformers + 1))]
        self.transformers = tuple(victim(name, number) for number, name in enumerate(names, 1))
        self.poller = victim("api_consumer", transformers + 1, [source], HEADRACE_PAGE_LIMIT=str(page_events))
        self.injected: Counter[Action] = Counter()

    @property
    def victims(self) -> tuple[Victim, ...]:
        return (*self.transformers, self.poller)

    @property
    def ways(self) -> Counter[Way]:
        """How often any of them was hit in which way."""
        return sum((victim.ways for victim in self.victims), Counter[Way]())

    @property
    def drains(self) -> Sequence[float]:
        """Seconds from each SIGTERM at a transformer to its end."""
        return [seconds for victim in self.transformers for seconds in victim.drains]

    @contextmanager
    def faults(self, *pace: Rule) -> Iterator[Sequence[Counter[Call]]]:
        """Every proxy lies now and then; the poller's holds the rules of `pace` too. Yields what these have hit."""
        with ExitStack() as rules:
            for victim in self.transformers:
                rules.callback(self._note, rules.enter_context(victim.proxy.rules(*FAULTS)))
            injected = rules.enter_context(self.poller.proxy.rules(*FAULTS, *pace))
            rules.callback(self._note, injected)
            yield injected[len(FAULTS) :]

    def _note(self, injected: Sequence[Counter[Call]]) -> None:
        for rule, calls in zip(FAULTS, injected, strict=False):  # a pace is no fault
            self.injected[rule.action] += calls.total()

    def logged(self, event: str) -> int:
        """How often the transformers have said it."""
        return sum(victim.service.logged(event) for victim in self.transformers)

    def tails(self) -> str:
        """The ends of all logs."""
        return "\n".join(victim.service.tail() for victim in self.victims)

    def report(self) -> Iterator[str]:
        """What was done to them, and what they say of it."""
        for way in Way:
            yield line(f"{way} of a transformer", sum(victim.ways[way] for victim in self.transformers))
            yield line(f"{way} of the poller", self.poller.ways[way])
        steps = Counter((hit.aim, hit.moment) for victim in self.transformers for hit in victim.hits if hit.aim)
        for (aim, moment), number in sorted(steps.items()):
            yield line(f"  of them at the step {aim}, its effect {moment}", number)
        for action, number in sorted(self.injected.items()):
            yield line(f"fault: {action}", number)
        yield line("intents resumed", self.logged("intent.resumed"))
        yield line("leases lost, noticed by renewal", self.logged("lease.lost"))
        yield line("leases lost, noticed by a refused write", self.logged("shard.dropped"))
