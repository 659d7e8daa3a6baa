"""Options of `headrace up` → the processes it runs. Pure: nothing is started or opened here."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cli import ports
from cli.program import Program, Stage
from headrace.errors import ConfigError

FILE_SUFFIXES = (".jsonl", ".json", ".csv")
MOST_TRANSFORMERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for, checked."""

    data: Path
    files: tuple[Path, ...] = ()
    url: str | None = None
    """Neither files nor a URL: the simulator."""
    mapping: Path | None = None
    until_drained: bool = False
    transformers: int = 1
    shards: int = 2
    rate: float = 50.0
    seed: int = 0

    @property
    def simulated(self) -> bool:
        """Whether the simulator is the web traffic API."""
        return not self.files and self.url is None


def check_options(
    *,
    data: Path,
    source: Sequence[str],
    mapping: Path | None,
    until_drained: bool,
    scale: Sequence[str],
    stream: str,
    shards: int,
    rate: float,
    seed: int,
) -> Options:
    """The options of the command line. Raises `ConfigError` with all that is wrong with them."""
    urls = [text for text in source if urlsplit(text).scheme in {"http", "https"}]
    files = [Path(text) for text in source if text not in urls]
    problems = [problem for file in files if (problem := _file_problem(file))]
    twice = Counter(file.resolve() for file in files)
    problems += [f"--source {file}: given twice" for file, times in twice.items() if times > 1]
    if stream != "kinesis":
        problems.append("--stream kafka: not there yet; leave it out to use Kinesis")
    if len(urls) > 1 or (urls and files):
        problems.append("--source: either one URL or any number of files")
    if mapping is not None and not mapping.is_file():
        problems.append(f"--mapping: there is no file {mapping}")
    if until_drained and not files and not problems:
        problems.append("--until-drained: needs --source with files; an API has no end")
    transformers = 1
    for text in scale:
        name, _, count = text.partition("=")
        if name != ports.TRANSFORMER or not count.isdecimal() or not 1 <= int(count) <= MOST_TRANSFORMERS:
            problems.append(f"--scale {text}: must be transformer=N with N from 1 to {MOST_TRANSFORMERS}")
            continue
        transformers = int(count)
    if problems:
        raise ConfigError(problems)
    return Options(
        data=data,
        files=tuple(file.absolute() for file in files),
        url=urls[0] if urls else None,
        mapping=mapping.absolute() if mapping else None,
        until_drained=until_drained,
        transformers=transformers,
        shards=shards,
        rate=rate,
        seed=seed,
    )


def _file_problem(file: Path) -> str | None:
    if Path(file.name.removesuffix(".gz")).suffix not in FILE_SUFFIXES:
        return f"--source {file}: neither an http(s) URL nor a .jsonl, .json or .csv file (each also .gz)"
    if not file.is_file():
        return f"--source {file}: there is no such file"
    if "," in str(file.absolute()):
        return f"--source {file}: its path must not contain a comma"
    return None


def process_names(options: Options) -> list[str]:
    """Everything that needs a port, in the order of the flow."""
    return [
        ports.AWS,
        ports.ATHENA,
        *([ports.SIMULATOR] if options.simulated else []),
        ports.API_CONSUMER,
        *ports.transformer_names(options.transformers),
        ports.PARTITIONER,
        ports.STATS,
    ]


def plan_simulator(options: Options, port: int, env: Mapping[str, str]) -> Program:
    """The simulator as a web traffic API."""
    return Program(
        name=ports.SIMULATOR,
        module="jobs.simulate",
        args=("api", "--port", str(port), "--rate", f"{options.rate:g}", "--seed", str(options.seed)),
        env=env,
        ready_url=f"http://127.0.0.1:{port}/health",
        stage=Stage.SOURCE,
    )


def plan_services(options: Options, chosen: Mapping[str, int], env: Mapping[str, str]) -> list[Program]:
    """The services, with the ports chosen for them and the environment that all share."""
    source = {
        name: value
        for name, value in {
            "API_URL": options.url
            or (f"http://127.0.0.1:{chosen[ports.SIMULATOR]}/events" if options.simulated else ""),
            "HEADRACE_SOURCE_FILES": ",".join(map(str, options.files)),
            "HEADRACE_MAPPING": str(options.mapping or ""),
        }.items()
        if value
    }
    if "API_URL" in source:  # the simulator, or what the user named: as a rule a server of their own
        own = "1" if options.simulated else env.get("HEADRACE_ALLOW_PRIVATE_UPSTREAM", "1")
        source["HEADRACE_ALLOW_PRIVATE_UPSTREAM"] = own

    def service(name: str, stage: Stage, more: Mapping[str, str]) -> Program:
        return Program(
            name=name,
            module=f"services.{name.partition('-')[0]}",
            env={**env, **more},
            ready_url=f"http://127.0.0.1:{chosen[name]}/readyz",
            stage=stage,
        )

    def metrics(name: str) -> dict[str, str]:
        return {"HEADRACE_METRICS_PORT": str(chosen[name])}

    return [
        service(
            ports.API_CONSUMER,
            Stage.SOURCE,
            {**metrics(ports.API_CONSUMER), **source},
        ),
        *(service(name, Stage.TRANSFORM, metrics(name)) for name in ports.transformer_names(options.transformers)),
        service(ports.PARTITIONER, Stage.SERVE, metrics(ports.PARTITIONER)),
        service(ports.STATS, Stage.SERVE, {"HEADRACE_STATS_PORT": str(chosen[ports.STATS])}),
    ]


ALLOCATOR = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": "131072",
    "MALLOC_TRIM_THRESHOLD_": "131072",
}
"""Has memory given back: as it comes, glibc keeps what a large page or batch once took. A transformer with a stalled
sink took 468 MB without it and 392 MB with it. Read when a process starts, so it has to be in its environment."""


def service_environment(env: Mapping[str, str], anonymous_key: str) -> dict[str, str]:
    """What all services share, on top of the local cloud's environment; the user's own settings win."""
    owned = {"API_URL", "HEADRACE_SOURCE_FILES", "HEADRACE_MAPPING", "HEADRACE_METRICS_PORT"}
    return {
        "HEADRACE_BATCH_AGE": "4s",
        "HEADRACE_SHUTDOWN": "10s",
        "HEADRACE_ANONYMOUS_KEY": anonymous_key,
        **ALLOCATOR,
        **{name: value for name, value in env.items() if name not in owned},
        "HEADRACE_LOG_FORMAT": "json",  # `LogView` makes it readable
        "PYTHONUNBUFFERED": "1",
    }
