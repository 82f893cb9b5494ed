// What holds for every message and every order of events, tried on random ones. A failure names its
// seed.

import { assert, assertEquals } from "@std/assert";
import * as h11 from "../../h11.ts";
import { cut, mutated, request, response } from "./generate.ts";
import { client, converse, END, latin1, Log, receive, server, text } from "./log.ts";
import { Random } from "./random.ts";

/** Calls `check` with generators of the seeds from 1 to `count`. */
function forSeeds(count: number, check: (random: Random) => void): void {
  for (let seed = 1; seed <= count; seed++) {
    try {
      check(new Random(seed));
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
}

const METHODS = ["GET", "HEAD", "POST", "CONNECT"];

for (const kind of ["valid", "mutated"]) {
  for (const role of [h11.SERVER, h11.CLIENT]) {
    Deno.test(`${role} makes the same of ${kind} bytes however they are cut`, () => {
      forSeeds(3000, (random) => {
        const method = random.pick(METHODS);
        const make = (): string => role === h11.SERVER ? request(random) : response(random, method);
        const made = (parts: Uint8Array[]): string[] =>
          role === h11.SERVER
            ? converse(server(), parts).lines
            : receive(client(method), parts).lines;
        let message = make() + make();
        if (kind === "mutated") message = mutated(random, message);
        const bytes = latin1(message);
        const whole = made([bytes, END]);
        const byteByByte = Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));
        assertEquals(made([...byteByByte, END]), whole, message);
        for (let i = 0; i < 3; i++) {
          assertEquals(made([...cut(random, bytes), END]), whole, message);
        }
      });
    });
  }
}

Deno.test("SERVER reads a request the same whatever came before it on the connection", () => {
  let repeated = 0;
  forSeeds(3000, (random) => {
    const some = request(random);
    const alike = [some, some, some, some.replace(/ \S+/, " /other"), withOtherByte(random, some)];
    const messages = random.some(3, 12, () => random.pick(alike));
    const lines: string[] = [];
    const sent: string[] = [];
    for (const message of messages) {
      const first = server();
      const read = converse(first, [latin1(message)]).lines;
      sent.push(message);
      const isOver = first.theirState !== h11.IDLE || first.bufferedSize > 0;
      if (isOver || sent.length === messages.length) {
        lines.push(...converse(server(), [latin1(message), END]).lines);
        break;
      }
      lines.push(...read);
      if (message === sent.at(-2)) repeated++;
    }
    const bytes = latin1(sent.join(""));
    assertEquals(converse(server(), [bytes, END]).lines, lines, sent.join(""));
    assertEquals(converse(server(), [...cut(random, bytes), END]).lines, lines, sent.join(""));
  });
  assert(repeated > 1000);
});

/** A server that is asked for an event after another one was, which takes the same areas for what it reads. */
class Disturbed extends h11.Connection {
  readonly #random: Random;
  #other = server();

  constructor(random: Random) {
    super(h11.SERVER);
    this.#random = random;
  }

  override nextEvent(): ReturnType<h11.Connection["nextEvent"]> {
    if (this.#random.chance(0.1)) {
      this.#other = server();
      this.#other.receiveData(this.#random.pick(DISTURBANCES));
    }
    if (this.#random.chance(0.2)) this.#other.nextEvent();
    return super.nextEvent();
  }
}
const DISTURBANCES = [1, 100, 5000].map((size) =>
  latin1(`GET / HTTP/1.1\r\nHost: b\r\nY: ${"y".repeat(size)}\r\n\r\nGET /`)
);

/** The bytes in pieces, most of which end with a line, each in one array that is written over; and the end. */
function* inOneArray(random: Random, bytes: Uint8Array): Generator<Uint8Array> {
  const area = new Uint8Array(32 * 1024);
  for (let at = 0; at < bytes.length;) {
    let size = 1 + random.below(random.pick([10, 10, 16_000]));
    if (random.chance(0.7)) size = Math.max(bytes.indexOf(LF, at + size - 1) + 1 - at, size);
    const piece = bytes.subarray(at, at += size);
    area.fill(0x58, 0, piece.length + 100).set(piece);
    yield area.subarray(0, piece.length);
  }
  yield END;
}
const LF = 0x0a;

Deno.test("SERVER that answers late reads as one that answers at once, whoever reads in between", () => {
  forSeeds(800, (random) => {
    const messages = random.some(2, 4, () => {
      const message = request(random).replace("\r\n", random.pick(["\r\n", LONG]));
      return random.pick(["", "\r\n"]) + message;
    });
    const bytes = latin1(messages.join(""));
    const { lines } = converse(server(), [bytes, END]);
    for (let i = 0; i < 4; i++) {
      const late = converse(new Disturbed(random), inOneArray(random, bytes), { isLate: true });
      assertEquals(late.lines, lines, messages.join(""));
    }
  });
});
/** A line that takes a head over what is read of it at first. */
const LONG = `\r\nX: ${"x".repeat(5000)}\r\n`;

/** The message with one byte made another. */
function withOtherByte(random: Random, message: string): string {
  const at = random.below(message.length);
  return message.slice(0, at) + random.pick([..."aZ0 :\r\n\0\xff"]) + message.slice(at + 1);
}

Deno.test("SERVER and CLIENT take every message that is valid", () => {
  forSeeds(3000, (random) => {
    const method = random.pick(METHODS);
    const [asked, answered] = [request(random), response(random, method)];
    assertEquals(receive(server(), [latin1(asked)]).error, null, asked);
    assertEquals(receive(client(method), [latin1(answered), END]).error, null, answered);
  });
});

/** Gives `bytes` to `reader` and sends what it makes of them through `writer`. */
function resent(bytes: Uint8Array, reader: h11.Connection, writer: h11.Connection): string {
  reader.receiveData(bytes);
  let out = "";
  for (;;) {
    const event = reader.nextEvent();
    if (event === h11.NEED_DATA || event === h11.PAUSED) return out;
    out += text(writer.send(event)!);
    if (event.type === "EndOfMessage") return out;
  }
}

Deno.test("A request comes through a server and a client as it was sent", () => {
  forSeeds(2000, (random) => {
    const conn = new h11.Connection(h11.CLIENT);
    const sent = someMessage(random, conn, someRequest(random));
    assertEquals(resent(latin1(sent), server(), new h11.Connection(h11.CLIENT)), sent);
  });
});

Deno.test("A response comes through a client and a server as it was sent", () => {
  forSeeds(2000, (random) => {
    const asked = someRequest(random);
    const peers = [0, 1].map(() => {
      const [c, s] = [new h11.Connection(h11.CLIENT), server()];
      receive(s, [latin1(someMessage(new Random(1), c, asked))]);
      return [c, s];
    });
    const answer = someResponse(random);
    const sent = someMessage(random, peers[0][1], answer, asked.method);
    assertEquals(resent(latin1(sent), peers[0][0], peers[1][1]), sent);
  });
});

function someFields(random: Random): [string, string][] {
  return random.some(
    0,
    3,
    () => [random.pick(["X", "x-y", "Accept"]), random.pick(["", "a b", "\xe9"])],
  );
}

function someFraming(random: Random): [string, string][] {
  return random.pick([[], [["Content-Length", "6"]], [["Transfer-Encoding", "chunked"]]]);
}

function someRequest(random: Random): h11.Request {
  const method = random.pick(METHODS);
  const framing = someFraming(random);
  return new h11.Request({
    method,
    target: method === "CONNECT" ? "a:1" : random.pick(["/", "/a?b"]),
    headers: [
      ["Host", "a"],
      ...someFields(random),
      ...framing,
      ...random.pick<[string, string][]>([[], [], [["Connection", "close"]], [
        ["Connection", "upgrade"],
        ["Upgrade", "b"],
      ], framing.length === 0 ? [] : [["Expect", "100-continue"]]]),
    ],
  });
}

function someResponse(random: Random): h11.Response {
  return new h11.Response({
    statusCode: random.pick([200, 200, 204, 304, 404]),
    reason: random.pick(["", "a b", "\xe9"]),
    headers: [
      ...someFields(random),
      ...someFraming(random),
      ...random.pick<[string, string][]>([[], [], [["Connection", "close"]]]),
    ],
  });
}

/** A whole message as `conn` sends it, with a random body where one may be. */
function someMessage(
  random: Random,
  conn: h11.Connection,
  head: h11.Request | h11.Response,
  method = "",
): string {
  let out = text(conn.send(head)!);
  if (conn.ourState === h11.SWITCHED_PROTOCOL) return out;
  const isBodiless = method === "HEAD" ||
    (head instanceof h11.Response && (head.statusCode === 204 || head.statusCode === 304));
  const isChunked = !isBodiless && out.includes("Transfer-Encoding: chunked");
  const body = isChunked
    ? random.some(0, 3, () => "a".repeat(1 + random.below(40)))
    : !isBodiless && out.includes("Content-Length: 6")
    ? random.pick([["abcdef"], ["a", "bcdef"]])
    : [];
  for (const part of body) out += text(conn.send(new h11.Data({ data: latin1(part) }))!);
  const trailers = isChunked && random.chance(0.3) ? { headers: { "X-Sum": "1" } } : undefined;
  return out + text(conn.send(new h11.EndOfMessage(trailers))!);
}

const STATES: h11.State[] = [
  h11.IDLE,
  h11.SEND_RESPONSE,
  h11.SEND_BODY,
  h11.DONE,
  h11.MUST_CLOSE,
  h11.CLOSED,
  h11.ERROR,
  h11.MIGHT_SWITCH_PROTOCOL,
  h11.SWITCHED_PROTOCOL,
];

Deno.test("What send() lets through, in any order of events, the other side takes and agrees on", () => {
  const counts = { sent: 0, refused: 0, cycles: 0 };
  forSeeds(3000, (random) => {
    const conns = [new h11.Connection(h11.CLIENT), new h11.Connection(h11.SERVER)];
    const [c, s] = conns;
    for (let step = 0; step < 40; step++) {
      const isServers = random.chance(s.ourState === h11.IDLE ? 0.05 : 0.5);
      const [from, to] = isServers || c.ourState === h11.DONE ? [s, c] : [c, s];
      const event = someEvent(random, from);
      let bytes;
      try {
        bytes = from.send(event);
      } catch (error) {
        assert(error instanceof h11.LocalProtocolError);
        assertEquals(from.ourState, h11.ERROR);
        counts.refused++;
        break;
      }
      counts.sent++;
      if (bytes === null) to.receiveData(END);
      else if (bytes.length > 0) to.receiveData(bytes);
      // Every event goes off at the other side as it is sent, but an answer without a body: that
      // ends over there with its head.
      for (;;) {
        const received = to.nextEvent();
        if (received === h11.NEED_DATA || received === h11.PAUSED) break;
        if (received.type === "ConnectionClosed") break;
        if (received.type === "EndOfMessage" && event.type !== "EndOfMessage") {
          from.send(new h11.EndOfMessage());
        }
      }
      // An answer to no request ends only when the server closes.
      if (event.type === "EndOfMessage" && to.theirState === h11.SEND_BODY) {
        from.send(new h11.ConnectionClosed());
        to.receiveData(END);
        assert(to.nextEvent() instanceof h11.EndOfMessage);
        assert(to.nextEvent() instanceof h11.ConnectionClosed);
      }
      for (const { states } of conns) {
        assert(STATES.includes(states.CLIENT) && STATES.includes(states.SERVER));
      }
      assertEquals(c.states, s.states, event.type);
      if (c.ourState === h11.DONE && s.ourState === h11.DONE) {
        for (const conn of conns) conn.startNextCycle();
        counts.cycles++;
      }
    }
  });
  // The walk gets somewhere.
  assert(
    counts.sent > 3000 && counts.refused > 1000 && counts.cycles > 100,
    JSON.stringify(counts),
  );
});

/** Mostly an event that can be sent now, now and then any. */
function someEvent(random: Random, { ourRole, ourState }: h11.Connection): h11.Event {
  const data = (): h11.Event => new h11.Data({ data: latin1(random.pick(["", "abc", "abcdef"])) });
  const end = (): h11.Event =>
    new h11.EndOfMessage(random.chance(0.1) ? { headers: { "X-Sum": "1" } } : undefined);
  const close = (): h11.Event => new h11.ConnectionClosed();
  const informational = (): h11.Event =>
    new h11.InformationalResponse({ statusCode: random.pick([100, 101, 103]) });
  const ask = (): h11.Event => someRequest(random);
  const answer = (): h11.Event => someResponse(random);
  const any = [ask, answer, informational, data, end, close];
  const likely = ourState === h11.SEND_BODY
    ? [data, end, end]
    : ourState === h11.SEND_RESPONSE
    ? [answer, answer, answer, informational]
    : ourRole === h11.CLIENT && ourState === h11.IDLE
    ? [ask]
    : any;
  return random.pick(random.chance(0.9) ? likely : any)();
}

Deno.test("Nothing that a caller holds changes, though it reads into one array all the time", () => {
  const random = new Random(1);
  const messages = Array.from({ length: 2000 }, () => {
    const message = random.chance(0.02)
      ? request(random).replace("\r\n", `\r\nX: ${"y".repeat(5000)}\r\n`)
      : request(random);
    return message.replaceAll(/(Connection|Upgrade|Expect).*?\r\n/gi, "").replace(
      "HTTP/1.0",
      "HTTP/1.1",
    )
      .replace(/^CONNECT \S+/, "GET /");
  });
  const stream = latin1(messages.join(""));
  const conn = server();
  const area = new Uint8Array(1500);
  const held: h11.Event[] = [];
  const heldHeads: [Uint8Array, string][] = [];
  const log = new Log();
  let taken = 0;
  for (;;) {
    const event = conn.nextEvent();
    if (event === h11.NEED_DATA) {
      if (taken === stream.length) break;
      // All of the array is written to, as another program's memory might be.
      area.fill(random.below(256));
      const length = Math.min(1 + random.below(area.length), stream.length - taken);
      area.set(stream.subarray(taken, taken += length));
      conn.receiveData(area.subarray(0, length));
      continue;
    }
    assert(event !== h11.PAUSED);
    log.add(event);
    // The data of a body is the one thing that is a view on the caller's own array.
    if (event.type !== "Data") held.push(event);
    if (event.type !== "EndOfMessage") continue;
    const headers = { "Content-Length": "0", "X-Number": String(held.length) };
    const head = conn.send(new h11.Response({ statusCode: 200, headers }))!;
    heldHeads.push([head, text(head)]);
    conn.send(new h11.EndOfMessage());
    conn.startNextCycle();
  }
  // What was written down when it came, against what is first looked at now.
  const later = new Log();
  for (const event of held) later.add(event);
  assertEquals(later.lines, log.lines.filter((line) => !line.startsWith("data ")));
  for (const [head, then] of heldHeads) assertEquals(text(head), then);
  assertEquals(held.length, 2 * messages.length);
});

Deno.test("The data of events does not change when the caller leaves its arrays alone", () => {
  forSeeds(200, (random) => {
    const bytes = latin1(request(random));
    const conn = server();
    const held: [Uint8Array, string][] = [];
    for (const part of cut(random, bytes)) {
      conn.receiveData(part);
      for (let event; (event = conn.nextEvent()), typeof event === "object";) {
        if (event.type === "Data") held.push([event.data, text(event.data)]);
      }
    }
    for (const [data, then] of held) assertEquals(text(data), then);
  });
});
