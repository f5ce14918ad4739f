"""Free TCP ports on this machine."""

import random
import socket

# Below those that systems give to outgoing connections: one of these must not get the server's port while
# the server is restarted.
_PORTS = range(15000, 32000)
_TRIES = 100


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    for port in random.sample(_PORTS, _TRIES):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port among {_TRIES} of {_PORTS.start} to {_PORTS.stop}")
