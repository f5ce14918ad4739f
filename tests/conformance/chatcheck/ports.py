"""Free TCP ports on this machine."""

import errno
import random
import socket

# Below those that systems give to outgoing connections: one of these must not get the server's port while
# the server is restarted.
_PORTS = range(15000, 32000)
_TRIES = 100


def free_port() -> int:
    """A port of this machine's loopback addresses that nobody listens on at this moment."""
    for port in random.sample(_PORTS, _TRIES):
        if _is_free(socket.AF_INET, "127.0.0.1", port) and _is_free(socket.AF_INET6, "::1", port):
            return port
    raise RuntimeError(f"no free port among {_TRIES} of {_PORTS.start} to {_PORTS.stop}")


def _is_free(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.bind((host, port))
    except OSError as error:
        return error.errno != errno.EADDRINUSE  # a machine without IPv6 has nobody there
    return True
