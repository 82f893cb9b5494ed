"""The cycle of Python's h11. Reads the request from standard input, prints nanoseconds."""

import sys
import time

import h11

FIELDS = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", "0"),
    ("Date", "Sun, 22 Nov 2026 12:00:00 GMT"),
]


def cycle(conn, message):
    conn.receive_data(message)
    request = conn.next_event()
    assert type(conn.next_event()) is h11.EndOfMessage
    conn.send(h11.Response(status_code=200, reason="OK", headers=FIELDS))
    conn.send(h11.EndOfMessage())
    conn.start_next_cycle()
    return request


def main():
    message = sys.stdin.buffer.read()
    conn = h11.Connection(h11.SERVER)
    request = cycle(conn, message)
    assert request.target == b"/user/bob?x=1" and len(request.headers) == 12
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter_ns()
        for _ in range(2_000):
            cycle(conn, message)
        best = min(best, (time.perf_counter_ns() - start) / 2_000)
    print(best)


main()
