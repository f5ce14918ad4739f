"""The command: python -m model --port N [--redis URL] [--fault NAME]..."""

import argparse
import asyncio
import signal
import sys

from .server import Server, Settings


def main() -> int:
    arguments = _arguments()
    settings = Settings(
        redis=arguments.redis,
        message_max=arguments.message_max,
        ping_interval=arguments.ping_interval,
        ping_timeout=arguments.ping_timeout,
        refresh=arguments.refresh,
    )
    asyncio.run(_run(Server(settings), arguments.port))
    return 0


def _arguments() -> argparse.Namespace:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m model", description="A model of a chat server.")
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0: any free one")
    parser.add_argument("--redis", metavar="URL", help="keep the mapping in this Redis as well")
    parser.add_argument("--message-max", type=int, default=default.message_max, metavar="BYTES")
    parser.add_argument("--ping-interval", type=float, default=default.ping_interval, metavar="S")
    parser.add_argument("--ping-timeout", type=float, default=default.ping_timeout, metavar="S")
    parser.add_argument("--refresh", type=float, default=default.refresh, metavar="S")
    return parser.parse_args()


async def _run(server: Server, port: int) -> None:
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    bound = await server.start(port)
    print(f"listening on ws://127.0.0.1:{bound}/", flush=True)
    await stopped.wait()
    await server.stop()


if __name__ == "__main__":
    sys.exit(main())
