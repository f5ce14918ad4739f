"""The command: python -m model --port N [--redis URL] [--fault NAME]..."""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import asdict

from .faults import FAULTS, any_fault, switch_on
from .faulty import FaultyServer
from .faulty_features import FaultyFeatureServer
from .features import FEATURES, FeatureServer
from .odd import ODD
from .original import Original
from .server import Server, Settings
from .useless import PERSONAS, Useless


def main() -> int:
    arguments = _arguments()
    if arguments.list_faults or arguments.list_faults_json:
        return _list_faults(arguments.list_faults_json)
    for name in arguments.fault:
        try:
            switch_on(name)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
    settings = Settings(
        redis=arguments.redis,
        message_max=arguments.message_max,
        connections_max=arguments.connections_max,
        message_timeout=arguments.message_timeout,
        ping_interval=arguments.ping_interval,
        ping_timeout=arguments.ping_timeout,
        refresh=arguments.refresh,
        features=frozenset(arguments.feature),
        broadcasters=frozenset(arguments.broadcaster),
        history_max=arguments.history_max,
        confirm_after=arguments.confirm_after,
    )
    asyncio.run(_run(_server(arguments.persona, settings), arguments.port))
    return 0


def _server(persona: str | None, settings: Settings) -> Server | Useless | Original:
    if persona == "original":
        return Original(settings.redis)
    if persona in ODD:
        return ODD[persona](settings)
    if persona is not None:
        return Useless(persona)
    if settings.features:
        return FaultyFeatureServer(settings) if any_fault() else FeatureServer(settings)
    return FaultyServer(settings) if any_fault() else Server(settings)


def _list_faults(as_json: bool) -> int:
    if as_json:
        print(json.dumps([asdict(fault) for fault in FAULTS.values()], ensure_ascii=False, indent=1))
    else:
        for fault in FAULTS.values():
            print(f"{fault.name:30} {fault.clause:10} {fault.what}")
    return 0


def _arguments() -> argparse.Namespace:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m model", description="A model of a chat server.")
    parser.add_argument("--message-timeout", type=float, help="seconds for a message to end; none: any time")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any free one")
    parser.add_argument("--redis", metavar="URL", help="keep the mapping in this Redis as well")
    parser.add_argument("--message-max", type=int, default=default.message_max, metavar="BYTES")
    parser.add_argument("--connections-max", type=int, metavar="N")
    parser.add_argument("--ping-interval", type=float, default=default.ping_interval, metavar="S")
    parser.add_argument("--ping-timeout", type=float, default=default.ping_timeout, metavar="S")
    parser.add_argument("--refresh", type=float, default=default.refresh, metavar="S")
    parser.add_argument("--feature", action="append", default=[], choices=FEATURES, help="may be repeated")
    parser.add_argument("--broadcaster", action="append", default=[], metavar="UID", help="who may broadcast")
    parser.add_argument("--history-max", type=int, default=default.history_max, metavar="N")
    parser.add_argument("--confirm-after", type=float, default=default.confirm_after, metavar="S")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="may be repeated")
    parser.add_argument("--persona", choices=("original", *ODD, *PERSONAS), help="another server altogether")
    parser.add_argument("--list-faults", action="store_true", help="name, clause and what is wrong")
    parser.add_argument("--list-faults-json", action="store_true", help="the same for programs")
    return parser.parse_args()


async def _run(server: Server | Useless | Original, port: int) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    bound = await server.start(port)
    print(f"listening on ws://127.0.0.1:{bound}/", flush=True)
    await stopped.wait()
    await server.stop()


if __name__ == "__main__":
    sys.exit(main())
