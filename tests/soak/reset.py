"""Clients that reset their connections, which Deno's cannot do by themselves.

    python3 reset.py PORT RESETS < messages.json

For each of the messages, one client for each number of its bytes: it sends so many and resets. Then RESETS
clients that reset as soon as they are connected. It prints how many there were in all.
"""

import json
import socket
import struct
import sys

RESET = struct.pack("ii", 1, 0)


def leave(port: int, sent: bytes) -> None:
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    if sent:
        client.sendall(sent)
    client.close()


def main() -> None:
    port, resets = int(sys.argv[1]), int(sys.argv[2])
    count = 0
    for message in json.load(sys.stdin):
        message = message.encode("latin-1")
        for at in range(len(message) + 1):
            leave(port, message[:at])
            count += 1
    for _ in range(resets):
        leave(port, b"")
        count += 1
    print(count)


main()
