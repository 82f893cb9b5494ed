"""What Python's h11 makes of messages: one frame in, one frame out, until the input ends.

In:  4 bytes length, 1 byte what we are (0 a server, else a client of METHODS[n]), the bytes.
Out: 4 bytes length, a JSON array of lines as in log.ts; all refusals are "refused".
"""

import json
import struct
import sys

import h11

METHODS = ["", "GET", "HEAD", "POST", "CONNECT"]


class Log:
    def __init__(self):
        self.lines = []
        self.is_open = False

    def add(self, event):
        if type(event) is h11.Data:
            part = bytes(event.data).decode("latin-1") + ("]" if event.chunk_end else "")
            if self.is_open and not event.chunk_start:
                self.lines[-1] += part
            else:
                self.lines.append("data " + ("[" if event.chunk_start else "") + part)
            self.is_open = not event.chunk_end
            return
        self.is_open = False
        if type(event) is h11.ConnectionClosed:
            self.lines.append("closed")
        elif type(event) is h11.EndOfMessage:
            self.lines.append("end" + fields(event))
        elif type(event) is h11.Request:
            start = event.method + b" " + event.target + b" HTTP/" + event.http_version
            self.lines.append(start.decode("latin-1") + fields(event))
        else:
            start = b"HTTP/%s %d %s" % (event.http_version, event.status_code, event.reason)
            self.lines.append(start.decode("latin-1") + fields(event))


def fields(event):
    return "".join(
        "\n" + (name + b": " + value).decode("latin-1") for name, value in event.headers.raw_items()
    )


def ask(conn, method):
    target = "a:443" if method == "CONNECT" else "/"
    conn.send(h11.Request(method=method, target=target, headers=[("Host", "a")]))
    conn.send(h11.EndOfMessage())


def go_on(conn, method):
    """After the end of a message: answers it, and begins the next cycle where there is one."""
    if conn.our_state is h11.SEND_RESPONSE:
        conn.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        if conn.our_state is h11.SEND_BODY:
            conn.send(h11.EndOfMessage())
    if conn.our_state is h11.DONE and conn.their_state is h11.DONE:
        conn.start_next_cycle()
        if conn.our_role is h11.CLIENT and conn.trailing_data[0]:
            ask(conn, method)


def receive(method, message):
    conn = h11.Connection(h11.CLIENT if method else h11.SERVER)
    log = Log()
    if method:
        ask(conn, method)
    parts = [message, b""] if message else [b""]
    try:
        while True:
            event = conn.next_event()
            if event is h11.NEED_DATA:
                conn.receive_data(parts.pop(0))
                continue
            if event is h11.PAUSED:
                log.lines.append("PAUSED " + conn.trailing_data[0].decode("latin-1"))
                break
            log.add(event)
            if type(event) is h11.ConnectionClosed:
                break
            if type(event) is h11.EndOfMessage:
                go_on(conn, method)
    except h11.RemoteProtocolError:
        log.lines.append("refused")
    return log.lines


def main():
    read, write = sys.stdin.buffer.read, sys.stdout.buffer.write
    while header := read(5):
        length, kind = struct.unpack(">IB", header)
        answer = json.dumps(receive(METHODS[kind], read(length))).encode()
        write(struct.pack(">I", len(answer)) + answer)
        sys.stdout.buffer.flush()


main()
