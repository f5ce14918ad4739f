"""What it costs Redis to store a message, and of what that is made: CPU time for each of the script's parts.

See bench/append_cost. A Redis of its own runs the script that chatd uses in the usual case, and scripts that
do one part of it, in pipelines of 500.
"""

from __future__ import annotations

import argparse

import redis
from comparison.plan import ROOT
from comparison.run import redis_server

PIPELINE = 500
UIDS = 100
APPEND = ROOT / "src/mapping_store/redis_scripts/append_usual.lua"
ADD = "redis.call('XADD', KEYS[1], '*', 'from', ARGV[1], 'body', ARGV[2])"
LOOK = "redis.call('HGET', KEYS[2], 'last') redis.call('XLEN', KEYS[1])"
# Measured above a script that does nothing.
PARTS = {
    "the time": "redis.call('TIME')",
    "the last id and the number of messages": LOOK,
    "the devices": "redis.call('SMEMBERS', KEYS[3])",
    "the message into the stream": ADD,
    "its id into the state": "redis.call('HSET', KEYS[2], 'last', '1')",
    "an answer of five parts": "return {0, '1795627292694-0', '1795627292694-0', '', {'node.1'}}",
}
# ARGV of append.lua: a body of 32 bytes, and limits that are not reached. The keys are made ahead, so the
# retention is so long that it is not time to renew them.
ARGUMENTS = ("1001", f'"{"x" * 30}"', "1000000", "1e18", "300000", "1", "9999999999999")


def cpu_us(server: redis.Redis) -> float:
    used = server.info("cpu")
    return 1e6 * (float(used["used_cpu_user"]) + float(used["used_cpu_sys"]))


def fill(server: redis.Redis) -> None:
    """A history of one message and one device for each uid."""
    server.flushall()
    for uid in range(UIDS):
        server.xadd(f"inbox:{uid}", {"from": "1001", "body": "1"}, id="1-0")
        server.hset(f"state:{uid}", "last", "1-0")
        server.sadd(f"set:{uid}", "node.1")


def cost(server: redis.Redis, script: str, n_messages: int) -> float:
    """CPU time of Redis for each call, in microseconds."""
    sha = server.script_load(script)
    fill(server)
    before = cpu_us(server)
    for begin in range(0, n_messages, PIPELINE):
        pipeline = server.pipeline(transaction=False)
        for number in range(begin, begin + PIPELINE):
            uid = number % UIDS
            pipeline.evalsha(sha, 3, f"inbox:{uid}", f"state:{uid}", f"set:{uid}", *ARGUMENTS)
        last = pipeline.execute()[-1]
    spent = cpu_us(server) - before
    if script == APPEND.read_text():
        assert last[0] == 0, f"not the usual case: {last}"
    return spent / n_messages


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--messages", type=int, default=40_000)
    n_messages = parser.parse_args().messages // PIPELINE * PIPELINE
    with redis_server() as (url, _pid):
        server = redis.Redis.from_url(url)
        nothing = cost(server, "return 0", n_messages)
        whole = cost(server, APPEND.read_text(), n_messages)
        parts = {name: cost(server, script, n_messages) - nothing for name, script in PARTS.items()}
        server.close()
    print(f"{'a script that does nothing':42} {nothing:5.1f} us")
    for name, part in parts.items():
        print(f"{name:42} {part:5.1f} us")
    print(f"{'Lua itself':42} {whole - nothing - sum(parts.values()):5.1f} us")
    print(f"{'a message stored':42} {whole:5.1f} us")


if __name__ == "__main__":
    main()
