"""uvicorn with h11: a small ASGI application without a framework."""

import json
import socket
import sys

import uvicorn

CHUNK = b"x" * (64 * 1024)
LARGE = CHUNK * 16
TEXT = b"text/plain; charset=utf-8"
BYTES = b"application/octet-stream"
JSON = b"application/json"

options = json.loads(sys.argv[1])


async def answer(send, content_type, body):
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def parts(receive):
    while True:
        message = await receive()
        yield message["body"]
        if not message["more_body"]:
            return


async def user(name, receive, send):
    await answer(send, TEXT, f"Hello, {name}!".encode())


async def order(_, receive, send):
    body = json.loads(b"".join([part async for part in parts(receive)]))
    total = sum(item["price"] * item["count"] for item in body["items"])
    confirmed = {"customer": body["customer"], "total": total}
    await answer(send, JSON, json.dumps(confirmed, separators=(",", ":")).encode())


async def large(_, receive, send):
    await answer(send, BYTES, LARGE)


async def stream(_, receive, send):
    headers = [(b"content-type", BYTES)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for left in reversed(range(16)):
        await send({"type": "http.response.body", "body": CHUNK, "more_body": left > 0})


async def upload(_, receive, send):
    size = 0
    async for part in parts(receive):
        size += len(part)
    await answer(send, TEXT, b"%d" % size)


ROUTES = {
    ("GET", "user"): user,
    ("POST", "json"): order,
    ("GET", "large"): large,
    ("GET", "stream"): stream,
    ("POST", "upload"): upload,
}
for i in range(options.get("routes", 0)):
    ROUTES["GET", f"user{i}"] = user


async def app(scope, receive, send):
    segment, _, param = scope["path"][1:].partition("/")
    await ROUTES[scope["method"], segment](param, receive, send)


tls = options.get("tls")
config = uvicorn.Config(
    app,
    http="h11",
    lifespan="off",
    log_level="warning",
    access_log=False,
    ssl_certfile=tls and tls["cert"],
    ssl_keyfile=tls and tls["key"],
)
# asyncio sends without delay only on a socket that says it is TCP, as those that it makes itself do.
listener = socket.socket(proto=socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen(config.backlog)
print("listening on", listener.getsockname()[1], flush=True)
uvicorn.Server(config).run(sockets=[listener])
