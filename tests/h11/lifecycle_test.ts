// The life of a connection: the state machines, and what they come to between two peers.

import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import * as h11 from "../../h11.ts";
import { ConnectionState, type Trigger } from "../../h11/state.ts";
import { test } from "../needs.ts";
import { ask, client, END, latin1, Log, receive, server, serverAfter, text } from "./log.ts";
import { stateDiagram } from "./state_diagram.ts";

// The state machines. Here they are written down a second time, from h11's manual and RFC 9112, and
// the two are walked together through everything that can happen.

const MOVES: Record<string, string> = {
  "CLIENT IDLE: Request": "SEND_BODY",
  "CLIENT IDLE: ConnectionClosed": "CLOSED",
  "CLIENT SEND_BODY: Data": "SEND_BODY",
  "CLIENT SEND_BODY: EndOfMessage": "DONE",
  "CLIENT DONE: ConnectionClosed": "CLOSED",
  "CLIENT MUST_CLOSE: ConnectionClosed": "CLOSED",
  "CLIENT CLOSED: ConnectionClosed": "CLOSED",
  "SERVER IDLE: Response": "SEND_BODY",
  "SERVER IDLE: ConnectionClosed": "CLOSED",
  "SERVER SEND_RESPONSE: InformationalResponse": "SEND_RESPONSE",
  "SERVER SEND_RESPONSE: Response": "SEND_BODY",
  "SERVER SEND_RESPONSE: 101 to Upgrade": "SWITCHED_PROTOCOL",
  "SERVER SEND_RESPONSE: 2xx to CONNECT": "SWITCHED_PROTOCOL",
  "SERVER SEND_BODY: Data": "SEND_BODY",
  "SERVER SEND_BODY: EndOfMessage": "DONE",
  "SERVER DONE: ConnectionClosed": "CLOSED",
  "SERVER MUST_CLOSE: ConnectionClosed": "CLOSED",
  "SERVER CLOSED: ConnectionClosed": "CLOSED",
};

/** Where a pair of states goes by itself: `client server`. */
const PAIR_MOVES: Record<string, string> = {
  "CLOSED DONE": "CLOSED MUST_CLOSE",
  "CLOSED IDLE": "CLOSED MUST_CLOSE",
  "ERROR DONE": "ERROR MUST_CLOSE",
  "DONE CLOSED": "MUST_CLOSE CLOSED",
  "DONE ERROR": "MUST_CLOSE ERROR",
  "IDLE CLOSED": "MUST_CLOSE CLOSED",
};

interface Model {
  client: string;
  server: string;
  keepAlive: boolean;
  upgrade: boolean;
  connect: boolean;
}

/** Something that happens: to the model, which may not allow it, and to a state of the engine. */
interface Happening {
  what: string;
  inModel: (model: Model) => Model | null;
  inEngine: (state: ConnectionState) => void;
}

function settled(model: Model): Model {
  let { client: c, server: s } = model;
  const proposed = model.upgrade || model.connect;
  // A proposal comes first: the client waits, and loses its wait with the proposal.
  if (proposed && c === "DONE") c = "MIGHT_SWITCH_PROTOCOL";
  if (!proposed && c === "MIGHT_SWITCH_PROTOCOL") c = "DONE";
  if (!model.keepAlive && c === "DONE") c = "MUST_CLOSE";
  if (!model.keepAlive && s === "DONE") s = "MUST_CLOSE";
  if (c === "MIGHT_SWITCH_PROTOCOL" && s === "SWITCHED_PROTOCOL") c = s;
  [c, s] = (PAIR_MOVES[`${c} ${s}`] ?? `${c} ${s}`).split(" ");
  return { ...model, client: c, server: s };
}

const HAPPENINGS: Happening[] = [
  {
    what: "CLIENT Request",
    inModel: (model) =>
      model.client === "IDLE" && model.server === "IDLE"
        ? settled({ ...model, client: "SEND_BODY", server: "SEND_RESPONSE" })
        : null,
    inEngine: (state) => state.processEvent("CLIENT", "Request"),
  },
  ...[
    ...["CLIENT Data", "CLIENT EndOfMessage", "CLIENT ConnectionClosed", "CLIENT Response"],
    ...["SERVER InformationalResponse", "SERVER Response", "SERVER Data", "SERVER EndOfMessage"],
    ...["SERVER ConnectionClosed", "SERVER 101 to Upgrade", "SERVER 2xx to CONNECT"],
  ].map((what): Happening => {
    const role = what.slice(0, 6) as h11.Role;
    const trigger = what.slice(7) as Trigger;
    const ours = role.toLowerCase() as "client" | "server";
    return {
      what,
      inModel: (model) => {
        const next = MOVES[`${role} ${model[ours]}: ${trigger}`];
        if (next === undefined) return null;
        if (trigger === "101 to Upgrade" && !model.upgrade) return null;
        if (trigger === "2xx to CONNECT" && !model.connect) return null;
        const declined = trigger === "Response" ? { upgrade: false, connect: false } : {};
        return settled({ ...model, ...declined, [ours]: next });
      },
      inEngine: (state) => state.processEvent(role, trigger),
    };
  }),
  // Proposals come with a request.
  ...[[true, false], [false, true], [true, true]].map(([upgrade, connect]): Happening => ({
    what: `proposal ${upgrade} ${connect}`,
    inModel: (model) =>
      settled({ ...model, upgrade: model.upgrade || upgrade, connect: model.connect || connect }),
    inEngine: (state) => state.processSwitchProposal(upgrade, connect),
  })),
  ...(["CLIENT", "SERVER"] as const).map((role): Happening => ({
    what: `${role} breaks the protocol`,
    inModel: (model) => settled({ ...model, [role.toLowerCase()]: "ERROR" }),
    inEngine: (state) => state.processError(role),
  })),
  {
    what: "no keep-alive",
    inModel: (model) => settled({ ...model, keepAlive: false }),
    inEngine: (state) => state.processKeepAliveDisabled(),
  },
  {
    what: "startNextCycle()",
    inModel: (model) =>
      model.client === "DONE" && model.server === "DONE"
        ? { ...model, client: "IDLE", server: "IDLE" }
        : null,
    inEngine: (state) => state.startNextCycle(),
  },
];

Deno.test("ConnectionState goes where h11's manual says in every state, and nowhere else", () => {
  const start = { client: "IDLE", server: "IDLE", keepAlive: true, upgrade: false, connect: false };
  const paths = new Map<string, Happening[]>([[JSON.stringify(start), []]]);
  const seen = new Set<string>();
  for (const [before, path] of paths) {
    const model: Model = JSON.parse(before);
    seen.add(`CLIENT ${model.client}`).add(`SERVER ${model.server}`);
    for (const happening of HAPPENINGS) {
      const state = new ConnectionState();
      for (const { inEngine } of path) inEngine(state);
      const way = [...path, happening].map(({ what }) => what).join(", ");
      const after = happening.inModel(model);
      if (after === null) {
        assertThrows(() => happening.inEngine(state), h11.LocalProtocolError, "Cannot ", way);
        continue;
      }
      happening.inEngine(state);
      const { client, server, keepAlive } = state;
      assertEquals([client, server, keepAlive], [after.client, after.server, after.keepAlive], way);
      const key = JSON.stringify(after);
      if (!paths.has(key)) paths.set(key, [...path, happening]);
    }
  }
  assertEquals(seen.size, 8 + 8, "every state of both roles is reached");
});

for (const page of ["README.md", "h11/README.md"]) {
  test(`${page} shows the state machines as they are`, { permissions: ["read"] }, async () => {
    const readme = await Deno.readTextFile(new URL(`../../${page}`, import.meta.url));
    const drawn = Array.from(readme.matchAll(/```mermaid\n([^]*?)```/g), ([, diagram]) => diagram);
    assertEquals(drawn, [stateDiagram(h11.CLIENT), stateDiagram(h11.SERVER)]);
  });
}

// Two peers.

/** Sends events from one side and takes down what the other makes of the bytes. */
function send(from: h11.Connection, to: h11.Connection, ...events: h11.Event[]): string[] {
  return receive(
    to,
    events.map((event) => from.send(event) ?? END).filter((part, i) =>
      part.length > 0 || events[i].type === "ConnectionClosed"
    ),
  ).lines;
}

function request(method = "GET", ...headers: [string, string][]): h11.Request {
  const target = method === "CONNECT" ? "a:443" : "/";
  return new h11.Request({ method, target, headers: [["Host", "a"], ...headers] });
}
function response(statusCode = 200, ...headers: [string, string][]): h11.Response {
  return new h11.Response({
    statusCode,
    reason: "x",
    headers: [["Content-Length", "0"], ...headers],
  });
}
function informational(
  statusCode: number,
  ...headers: [string, string][]
): h11.InformationalResponse {
  return new h11.InformationalResponse({ statusCode, reason: "x", headers });
}
function data(text: string): h11.Data {
  return new h11.Data({ data: latin1(text) });
}
const end = new h11.EndOfMessage();
const close = new h11.ConnectionClosed();

function pair(): [client: h11.Connection, server: h11.Connection] {
  return [new h11.Connection(h11.CLIENT), new h11.Connection(h11.SERVER)];
}
function states(clientState: h11.State, serverState: h11.State): Record<h11.Role, h11.State> {
  return { CLIENT: clientState, SERVER: serverState };
}
function assertBoth(
  [a, b]: [h11.Connection, h11.Connection],
  clientState: h11.State,
  serverState: h11.State,
): void {
  assertEquals([a.states, b.states], Array(2).fill(states(clientState, serverState)));
}

Deno.test("Connection knows its role and its states from the first", () => {
  const [c, s] = pair();
  assertEquals([c.ourRole, c.theirRole, s.ourRole, s.theirRole], [
    h11.CLIENT,
    h11.SERVER,
    h11.SERVER,
    h11.CLIENT,
  ]);
  assertEquals([c.ourState, c.theirState, c.theirHttpVersion], [h11.IDLE, h11.IDLE, null]);
  assertBoth([c, s], h11.IDLE, h11.IDLE);
});

Deno.test("Connection.receiveData() writes to no array that it was given", () => {
  const conn = server();
  const first = new Uint8Array(100);
  first.set(latin1("GET / "));
  const before = first.slice();
  conn.receiveData(first, 6);
  conn.receiveData(latin1("HTTP/1.1\r\nHost: a\r\n\r\n"));
  assertEquals((conn.nextEvent() as h11.Request).target, "/");
  assertEquals(first, before);
});

Deno.test("Connection.theirHttpVersion is null until the peer has sent a head", () => {
  const [c, s] = pair();
  send(c, s, request("GET"));
  assertEquals([c.theirHttpVersion, s.theirHttpVersion], [null, "1.1"]);
});

Deno.test("Connection goes through two cycles on both sides", () => {
  const [c, s] = pair();
  for (const method of ["GET", "POST"]) {
    assertEquals(send(c, s, request(method, ["Content-Length", "2"])), [
      `${method} / HTTP/1.1\nHost: a\nContent-Length: 2`,
    ]);
    assertBoth([c, s], h11.SEND_BODY, h11.SEND_RESPONSE);
    assertEquals(send(c, s, data("hi"), end), ["data hi", "end"]);
    assertBoth([c, s], h11.DONE, h11.SEND_RESPONSE);
    assertEquals([s.ourState, s.theirState], [h11.SEND_RESPONSE, h11.DONE]);
    assertEquals(send(s, c, informational(103), response()), [
      "HTTP/1.1 103 x",
      "HTTP/1.1 200 x\nContent-Length: 0",
      "end",
    ]);
    s.send(end);
    assertBoth([c, s], h11.DONE, h11.DONE);
    assertEquals([c.theirHttpVersion, s.theirHttpVersion], ["1.1", "1.1"]);
    c.startNextCycle();
    s.startNextCycle();
    assertBoth([c, s], h11.IDLE, h11.IDLE);
  }
});

Deno.test("Connection keeps HTTP/1.0 that asks for it through two cycles", () => {
  const conn = server();
  for (let i = 0; i < 2; i++) {
    const { lines } = receive(conn, [latin1("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")]);
    assertEquals(lines, ["GET / HTTP/1.0\nConnection: keep-alive", "end"]);
    assertEquals(conn.theirHttpVersion, "1.0");
    conn.send(response());
    conn.send(end);
    conn.startNextCycle();
  }
});

Deno.test("CLIENT keeps HTTP/1.0 only when the answer says keep-alive (RFC 9112 9.3)", () => {
  for (
    const [version, field, state] of [
      ["1.1", "", h11.DONE],
      ["1.1", "Connection: close\r\n", h11.MUST_CLOSE],
      ["1.0", "", h11.MUST_CLOSE],
      ["1.0", "Connection: keep-alive\r\n", h11.DONE],
      ["1.0", "Connection: keep-alive, close\r\n", h11.MUST_CLOSE],
    ]
  ) {
    const conn = client();
    receive(conn, [latin1(`HTTP/${version} 200 OK\r\nContent-Length: 0\r\n${field}\r\n`)]);
    assertEquals(conn.states, states(state as h11.State, state as h11.State));
  }
});

Deno.test("CLIENT does not go on after a body that ends as the server closes", () => {
  const conn = client();
  receive(conn, [latin1("HTTP/1.1 200 OK\r\n\r\nhello")]);
  assertEquals(conn.states, states(h11.MUST_CLOSE, h11.SEND_BODY));
});

Deno.test("CLIENT closes after chunked in HTTP/1.0 alone, whatever the answer says (RFC 9112 6.1)", () => {
  for (const [version, state] of [["1.1", h11.DONE], ["1.0", h11.MUST_CLOSE]] as const) {
    const conn = client();
    const fields = "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n";
    receive(conn, [latin1(`HTTP/${version} 200 OK\r\n${fields}\r\n0\r\n\r\n`)]);
    assertEquals(conn.states, states(state, state));
  }
});

Deno.test("Connection.startNextCycle() refuses every pair of states but DONE and DONE", () => {
  const conns: h11.Connection[] = [
    server(),
    serverAfter("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    serverAfter("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
    serverAfter("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    serverAfter("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    client(),
  ];
  for (const conn of conns) {
    const before = conn.states;
    const error = assertThrows(() => conn.startNextCycle(), h11.LocalProtocolError);
    assert(error.message.includes(`${before.CLIENT} and SERVER in state ${before.SERVER}`));
    assertEquals(conn.states, before);
  }
});

// 100-continue (RFC 9110 10.1.1).

const ENDS_OF_WAITING: [what: string, sender: h11.Role, event: h11.Event][] = [
  ["100", h11.SERVER, informational(100)],
  ["the response", h11.SERVER, response(417)],
  ["the client's first data", h11.CLIENT, data("a")],
];
for (const [what, sender, event] of ENDS_OF_WAITING) {
  Deno.test(`Connection.theyAreWaitingFor100Continue ends with ${what}`, () => {
    const [c, s] = pair();
    send(c, s, request("POST", ["Content-Length", "1"], ["Expect", "100-continue"], ...UPGRADE));
    assertEquals([s.theyAreWaitingFor100Continue, s.clientIsWaitingFor100Continue], [true, true]);
    assertEquals([c.theyAreWaitingFor100Continue, c.clientIsWaitingFor100Continue], [false, true]);
    if (sender === h11.SERVER) send(s, c, event);
    else send(c, s, event);
    assertEquals([s.theyAreWaitingFor100Continue, s.clientIsWaitingFor100Continue], [false, false]);
    assertEquals(c.clientIsWaitingFor100Continue, false);
  });
}
Deno.test("Connection.clientIsWaitingFor100Continue ends with a 101 that comes without 100", () => {
  const conn = new h11.Connection(h11.CLIENT);
  conn.send(request("POST", ["Content-Length", "1"], ["Expect", "100-continue"], ...UPGRADE));
  assertEquals(conn.clientIsWaitingFor100Continue, true);
  receive(conn, [latin1("HTTP/1.1 101 x\r\nUpgrade: b\r\n\r\n")]);
  assertEquals(conn.clientIsWaitingFor100Continue, false);
});
for (const statusCode of [102, 103, 199]) {
  Deno.test(`Connection.theyAreWaitingFor100Continue does not end with ${statusCode} (RFC 9110 15.2)`, () => {
    const [c, s] = pair();
    send(c, s, request("POST", ["Content-Length", "1"], ["Expect", "100-continue"]));
    send(s, c, informational(statusCode));
    assertEquals([s.theyAreWaitingFor100Continue, c.clientIsWaitingFor100Continue], [true, true]);
    send(s, c, informational(100));
    assertEquals([s.theyAreWaitingFor100Continue, c.clientIsWaitingFor100Continue], [false, false]);
  });
}
Deno.test("Connection.theyAreWaitingFor100Continue ends with the end of an empty message", () => {
  const conn = serverAfter(
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
  );
  assertEquals(conn.theyAreWaitingFor100Continue, false);
});
Deno.test("Connection.theyAreWaitingFor100Continue is not for HTTP/1.0", () => {
  const conn = serverAfter("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
  assertEquals(conn.theyAreWaitingFor100Continue, false);
});

// Pipelines and pauses (RFC 9112 9.3.2).

Deno.test("Connection.nextEvent() pauses before each pipelined request until the next cycle", () => {
  const conn = server();
  const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  conn.receiveData(latin1(get.repeat(3)));
  for (let left = 2; left >= 0; left--) {
    assertEquals((conn.nextEvent() as h11.Event).type, "Request");
    assertEquals((conn.nextEvent() as h11.Event).type, "EndOfMessage");
    for (let i = 0; i < 2; i++) {
      assertEquals(conn.nextEvent(), left === 0 ? h11.NEED_DATA : h11.PAUSED);
    }
    assertEquals(text(conn.trailingData[0]), get.repeat(left));
    conn.send(response());
    assertEquals(conn.nextEvent(), left === 0 ? h11.NEED_DATA : h11.PAUSED);
    conn.send(end);
    conn.startNextCycle();
  }
  assertEquals(conn.nextEvent(), h11.NEED_DATA);
});

Deno.test("Connection.nextEvent() pauses before what comes early, byte by byte, and reads it later", () => {
  const conn = serverAfter("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  for (const byte of latin1("\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n")) {
    conn.receiveData(Uint8Array.of(byte));
    assertEquals(conn.nextEvent(), h11.PAUSED);
  }
  conn.send(response());
  conn.send(end);
  conn.startNextCycle();
  assertEquals((conn.nextEvent() as h11.Request).target, "/b");
});

// What a client receives when it has asked for nothing (RFC 9112 6.3).

const SURPLUS: [what: string, bytes: string][] = [
  ["a whole response", "HTTP/1.1 204 x\r\n\r\n"],
  ["a part of one", "HTTP/1.1"],
  ["an empty line", "\r\n"],
];
const BEFORE_REQUEST: [when: string, start: (surplus: Uint8Array) => h11.Connection][] = [
  ["that came with a response", (surplus) => {
    const conn = client();
    receive(conn, [latin1("HTTP/1.1 204 x\r\n\r\n" + text(surplus))]);
    conn.startNextCycle();
    return conn;
  }],
  ["that came after a response", (surplus) => {
    const conn = clientAfter("HTTP/1.1 204 x\r\n\r\n");
    conn.startNextCycle();
    conn.receiveData(surplus);
    return conn;
  }],
  ["that came before all", (surplus) => {
    const conn = new h11.Connection(h11.CLIENT);
    conn.receiveData(surplus);
    return conn;
  }],
];
for (const [what, surplus] of SURPLUS) {
  for (const [when, start] of BEFORE_REQUEST) {
    Deno.test(`CLIENT does not send a request while ${what} is unread ${when}`, () => {
      const conn = start(latin1(surplus));
      assertThrows(
        () => ask(conn, "GET"),
        h11.LocalProtocolError,
        `Cannot send Request: received ${surplus.length} bytes`,
      );
      assertEquals(conn.ourState, h11.ERROR);
    });
  }
}

Deno.test("CLIENT pauses before bytes that follow a response", () => {
  const answer = "HTTP/1.1 204 x\r\n\r\n";
  const { lines } = receive(client(), [latin1(answer + answer)]);
  assertEquals(lines, ["HTTP/1.1 204 x", "end", "PAUSED"]);
});

Deno.test("CLIENT reads a response that comes while it asks for nothing, and sends no request then", () => {
  const conn = clientAfter("HTTP/1.1 204 x\r\n\r\n");
  conn.startNextCycle();
  const { lines } = receive(conn, [
    latin1("HTTP/1.1 408 x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    END,
  ]);
  assertEquals(lines, [
    "HTTP/1.1 408 x\nContent-Length: 0\nConnection: close",
    "end",
    "closed",
  ]);
  assertThrows(() => ask(conn, "GET"), h11.LocalProtocolError, "in state MUST_CLOSE");
});

// Answers that come early.

Deno.test("SERVER answers before the request's body has come, and the cycle goes on", () => {
  const [c, s] = pair();
  send(c, s, request("POST", ["Content-Length", "4"]), data("he"));
  send(s, c, response(413));
  s.send(end);
  assertBoth([c, s], h11.SEND_BODY, h11.DONE);
  assertEquals(send(c, s, data("re"), end), ["data re", "end"]);
  assertBoth([c, s], h11.DONE, h11.DONE);
});

Deno.test("SERVER answers before the request's body has come, and closes", () => {
  const [c, s] = pair();
  send(c, s, request("POST", ["Content-Length", "4"]), data("he"));
  send(s, c, response(413, ["Connection", "close"]));
  assertEquals(s.send(end)!.length, 0);
  assertEquals(send(s, c, close), ["closed"]);
  assertBoth([c, s], h11.SEND_BODY, h11.CLOSED);
  send(c, s, data("re"), end);
  assertBoth([c, s], h11.MUST_CLOSE, h11.CLOSED);
});

Deno.test("SERVER may answer before any request, and no request is taken after it", () => {
  const [c, s] = pair();
  assertEquals(send(s, c, response(408)), [
    "HTTP/1.1 408 x\nContent-Length: 0\nConnection: close",
    "end",
  ]);
  s.send(end);
  assertBoth([c, s], h11.IDLE, h11.MUST_CLOSE);
  const { lines, error } = receive(s, [latin1("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]);
  assertEquals(lines, ["refused 400"]);
  assert(error!.message.includes("with SERVER in state MUST_CLOSE: expected it in state IDLE"));
});

Deno.test("SERVER takes no request after sendFailed(), and tells in which state it is itself", () => {
  const conn = server();
  conn.sendFailed();
  const { error } = receive(conn, [latin1("GET / HTTP/1.1\r\nHost: a\r\n\r\n")]);
  assert(error!.message.includes("with SERVER in state ERROR: expected it in state IDLE"));
});

// Closing (RFC 9112 9.6). What the end of the stream is in each state of the peer.

const CLOSINGS: [role: h11.Role, state: h11.State, conn: () => h11.Connection, lines: string[]][] =
  [
    [h11.CLIENT, h11.IDLE, server, ["closed"]],
    [
      h11.CLIENT,
      h11.SEND_BODY,
      () => serverAfter("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"),
      ["refused 400"],
    ],
    [h11.CLIENT, h11.DONE, () => serverAfter("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ["closed"]],
    [
      h11.CLIENT,
      h11.MUST_CLOSE,
      () => serverAfter("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
      ["closed"],
    ],
    [
      h11.CLIENT,
      h11.MIGHT_SWITCH_PROTOCOL,
      () => serverAfter("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
      ["PAUSED"],
    ],
    [h11.CLIENT, h11.SWITCHED_PROTOCOL, () => tunnel(h11.SERVER), ["PAUSED"]],
    [h11.SERVER, h11.IDLE, () => new h11.Connection(h11.CLIENT), ["closed"]],
    [h11.SERVER, h11.SEND_RESPONSE, client, ["refused 400"]],
    [h11.SERVER, h11.SEND_BODY, () => clientAfter("HTTP/1.1 200 x\r\nContent-Length: 1\r\n\r\n"), [
      "refused 400",
    ]],
    [h11.SERVER, h11.DONE, () => clientAfter("HTTP/1.1 204 x\r\n\r\n"), ["closed"]],
    [h11.SERVER, h11.MUST_CLOSE, () => clientAfter("HTTP/1.1 204 x\r\nConnection: close\r\n\r\n"), [
      "closed",
    ]],
    [h11.SERVER, h11.SWITCHED_PROTOCOL, () => tunnel(h11.CLIENT), ["PAUSED"]],
  ];
function clientAfter(response: string): h11.Connection {
  const conn = client();
  receive(conn, [latin1(response)]);
  return conn;
}
/** A connection that has switched to a tunnel. */
function tunnel(role: h11.Role): h11.Connection {
  const [c, s] = pair();
  send(c, s, request("CONNECT"), end);
  send(s, c, new h11.Response({ statusCode: 200 }));
  return role === h11.CLIENT ? c : s;
}
for (const [role, state, start, lines] of CLOSINGS) {
  Deno.test(`Connection.nextEvent() makes of ${role} closing in ${state}: ${lines}`, () => {
    const conn = start();
    assertEquals(conn.theirState, state);
    assertEquals(receive(conn, [END]).lines, lines);
    if (lines[0] === "closed") {
      assertEquals(conn.theirState, h11.CLOSED);
      for (let i = 0; i < 2; i++) {
        conn.receiveData(END);
        assertEquals((conn.nextEvent() as h11.Event).type, "ConnectionClosed");
      }
    }
  });
}

const CUT_SHORT: [what: string, start: () => h11.Connection, message: string][] = [
  [
    "a response before it began",
    client,
    "the response: the peer closed the connection before sending it",
  ],
  [
    "a response after 1xx",
    () => clientAfter("HTTP/1.1 103 x\r\n\r\n"),
    "the response: the peer closed the connection before sending it",
  ],
  [
    "a head",
    () => clientAfter("HTTP/1.1 200 x\r\n"),
    "the response: the peer closed the connection",
  ],
  [
    "a request's head",
    () => serverAfter("GET / HTTP/1.1\r\n"),
    "the request: the peer closed the connection",
  ],
  [
    "a body",
    () => clientAfter("HTTP/1.1 200 x\r\nContent-Length: 5\r\n\r\nhell"),
    "the body: the peer closed the connection after 4 of 5 bytes",
  ],
  [
    "chunks",
    () => clientAfter("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"),
    "the body: the peer closed the connection before the last chunk",
  ],
  [
    "trailers",
    () => clientAfter("HTTP/1.1 200 x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"),
    "the body: the peer closed the connection before the end of the trailer section",
  ],
];
for (const [what, start, message] of CUT_SHORT) {
  Deno.test(`Connection.nextEvent() tells that the peer closed within ${what}`, () => {
    const { error } = receive(start(), [END]);
    assertEquals(error?.message, `Cannot complete ${message} (RFC 9112 8)`);
  });
}

Deno.test("SERVER answers a client that closed its half after its request", () => {
  const [c, s] = pair();
  send(c, s, request(), end);
  c.send(close);
  assertEquals(receive(s, [END]).lines, ["closed"]);
  assertEquals(s.states, states(h11.CLOSED, h11.SEND_RESPONSE));
  assertEquals(send(s, c, response()), ["HTTP/1.1 200 x\nContent-Length: 0", "end"]);
  s.send(end);
  assertBoth([c, s], h11.CLOSED, h11.MUST_CLOSE);
  assertEquals(send(s, c, close), ["closed"]);
  assertBoth([c, s], h11.CLOSED, h11.CLOSED);
});

Deno.test("SERVER must close when an idle client closed", () => {
  const [c, s] = pair();
  assertEquals(send(c, s, close), ["closed"]);
  assertBoth([c, s], h11.CLOSED, h11.MUST_CLOSE);
});

Deno.test("CLIENT must close when an idle server closed", () => {
  const [c, s] = pair();
  assertEquals(send(s, c, close), ["closed"]);
  assertBoth([c, s], h11.MUST_CLOSE, h11.CLOSED);
});

Deno.test("Connection.nextEvent() refuses bytes after a message that was the last", () => {
  const conn = serverAfter("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const { lines, error } = receive(conn, [latin1("G")]);
  assertEquals(lines, ["refused 400"]);
  assert(error!.message.includes("in state MUST_CLOSE"));
});

Deno.test("Connection.receiveData() refuses bytes after the end of the stream", () => {
  const conn = server();
  conn.receiveData(END);
  conn.receiveData(END);
  assertThrows(() => conn.receiveData(latin1("G")), h11.LocalProtocolError, "Cannot receive data");
});

for (const length of [-1, NaN, 6, 1.5]) {
  Deno.test(`Connection.receiveData() refuses ${length} bytes of an array of 5`, () => {
    const conn = server();
    assertThrows(() => conn.receiveData(latin1("GET /"), length), RangeError, `${length} bytes`);
    assertEquals([conn.bufferedSize, conn.nextEvent()], [0, h11.NEED_DATA]);
  });
}

const NO_BYTES: [what: string, given: unknown][] = [
  ["ArrayBuffer", new ArrayBuffer(5)],
  ["String", "GET /"],
  ["Array", [71]],
  ["Number", 5],
  ["Null", null],
];
for (const [what, given] of NO_BYTES) {
  Deno.test(`Connection.receiveData() refuses what is no Uint8Array: ${what}`, () => {
    const conn = server();
    assertThrows(
      () => conn.receiveData(given as Uint8Array),
      TypeError,
      `Cannot receive ${what}: expected a Uint8Array`,
    );
    assertEquals([conn.bufferedSize, conn.nextEvent()], [0, h11.NEED_DATA]);
  });
}

// Errors.

Deno.test("Connection.nextEvent() goes on refusing once it refused, and our side goes on", () => {
  const conn = server();
  assertEquals(receive(conn, [latin1("?\r\n\r\n")]).lines, ["refused 400"]);
  assertEquals(conn.states, states(h11.ERROR, h11.IDLE));
  for (const bytes of [latin1("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), END]) {
    assertEquals(receive(conn, [bytes]).lines, ["refused 400"]);
  }
  conn.send(response(400));
  conn.send(end);
  assertEquals(conn.states, states(h11.ERROR, h11.MUST_CLOSE));
  assertEquals(conn.send(close), null);
});

Deno.test("Connection keeps what is unread of what broke the protocol, in an array of its own, and no more", () => {
  const conn = server();
  const area = latin1("?\r\n\r\n");
  assertEquals(receive(conn, [area]).lines, ["refused 400"]);
  area.fill(0);
  conn.receiveData(latin1("more"));
  assertEquals([conn.trailingData, conn.bufferedSize], [[latin1("?\r\n\r\n"), false], 5]);
  conn.receiveData(END);
  assertEquals(conn.trailingData, [latin1("?\r\n\r\n"), true]);
});

Deno.test("Connection.nextEvent() refuses in the middle of a body, and the events before it stand", () => {
  const conn = server();
  const { lines } = receive(conn, [
    latin1("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n?\r\n"),
  ]);
  assertEquals(lines.slice(1), ["data [a]", "refused 400"]);
  assertEquals(conn.states, states(h11.ERROR, h11.SEND_RESPONSE));
});

Deno.test("Connection.send() that refused leaves the peer's side as it was", () => {
  const conn = serverAfter("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n");
  assertThrows(() => conn.send(data("a")), h11.LocalProtocolError);
  assertEquals(conn.states, states(h11.SEND_BODY, h11.ERROR));
  assertEquals(receive(conn, [latin1("a")]).lines, ["data a", "end"]);
  assertEquals(conn.states, states(h11.MUST_CLOSE, h11.ERROR));
});

for (
  const [what, conn] of [
    ["before its answer", () => serverAfter("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["in IDLE", server],
    ["after its request", client],
  ] as [string, () => h11.Connection][]
) {
  Deno.test(`Connection.sendFailed() sets our side to ERROR ${what}`, () => {
    const failed = conn();
    failed.sendFailed();
    assertEquals(failed.ourState, h11.ERROR);
    assertThrows(() => failed.send(close), h11.LocalProtocolError, "an earlier send failed");
  });
}

const NOT_ALLOWED: [what: string, start: () => h11.Connection, bytes: string, message: string][] = [
  [
    "101 that it did not ask for",
    client,
    "HTTP/1.1 101 x\r\nUpgrade: b\r\n\r\n",
    "Cannot accept 101 to Upgrade from SERVER: the client did not request it",
  ],
  [
    "103 before its request",
    () => new h11.Connection(h11.CLIENT),
    "HTTP/1.1 103 x\r\n\r\n",
    "Cannot accept InformationalResponse from SERVER in state IDLE: expected ConnectionClosed or Response",
  ],
];
for (const [what, start, bytes, message] of NOT_ALLOWED) {
  Deno.test(`CLIENT tells that it is the server that must not send ${what}`, () => {
    assertEquals(receive(start(), [latin1(bytes)]).error?.message, message);
  });
}

Deno.test("send() of the next message tells that startNextCycle() has to come first", () => {
  const [c, s] = pair();
  send(c, s, request("GET"), end);
  send(s, c, response(204), end);
  const ofClient = assertThrows(() => c.send(request("GET")), h11.LocalProtocolError);
  const ofServer = assertThrows(() => s.send(response(204)), h11.LocalProtocolError);
  assertEquals([ofClient.message, ofServer.message], [
    "Cannot send Request as CLIENT in state DONE: expected ConnectionClosed, or startNextCycle() first",
    "Cannot send Response as SERVER in state DONE: expected ConnectionClosed, or startNextCycle() first",
  ]);
});

// Switching protocols (RFC 9110 7.8, 9.3.6).

const UPGRADE: [string, string][] = [["Connection", "Upgrade"], ["Upgrade", "b"]];

Deno.test("Connection switches to what Upgrade asked for", () => {
  const [c, s] = pair();
  assertEquals(send(c, s, request("GET", ...UPGRADE), end).at(-1), "PAUSED");
  assertBoth([c, s], h11.MIGHT_SWITCH_PROTOCOL, h11.SEND_RESPONSE);
  const answer = new h11.InformationalResponse({ statusCode: 101, headers: UPGRADE });
  c.receiveData(s.send(answer)!);
  c.receiveData(latin1("early"));
  assertEquals((c.nextEvent() as h11.Event).type, "InformationalResponse");
  assertBoth([c, s], h11.SWITCHED_PROTOCOL, h11.SWITCHED_PROTOCOL);
  assertEquals(c.nextEvent(), h11.PAUSED);
  assertEquals(c.trailingData, [latin1("early"), false]);
  for (const conn of [c, s]) {
    assertThrows(() => conn.send(data("a")), h11.LocalProtocolError, "expected nothing");
  }
});

Deno.test("Connection goes on when the server declines to switch", () => {
  const [c, s] = pair();
  send(c, s, request("GET", ...UPGRADE), end);
  assertEquals(s.nextEvent(), h11.PAUSED);
  send(s, c, response());
  s.send(end);
  assertBoth([c, s], h11.DONE, h11.DONE);
  c.startNextCycle();
  s.startNextCycle();
  assertEquals(send(c, s, request(), end), ["GET / HTTP/1.1\nHost: a", "end"]);
});

Deno.test("Connection switches before the request's body is complete, and reads it first", () => {
  const [c, s] = pair();
  send(c, s, request("POST", ...UPGRADE, ["Content-Length", "2"]));
  const [line] = send(s, c, informational(101, ...UPGRADE));
  assertEquals(line, "HTTP/1.1 101 x\nConnection: Upgrade\nUpgrade: b");
  assertBoth([c, s], h11.SEND_BODY, h11.SWITCHED_PROTOCOL);
  assertEquals(send(c, s, data("hi"), end), ["data hi", "end", "PAUSED"]);
  assertBoth([c, s], h11.SWITCHED_PROTOCOL, h11.SWITCHED_PROTOCOL);
});

Deno.test("Connection sends 100 before 101", () => {
  const [c, s] = pair();
  send(c, s, request("GET", ...UPGRADE), end);
  assertEquals(send(s, c, informational(100), informational(101, ["Upgrade", "B"])), [
    "HTTP/1.1 100 x",
    "HTTP/1.1 101 x\nUpgrade: B",
    "PAUSED",
  ]);
});

Deno.test("CLIENT refuses a switch to what it did not offer, and takes one that names nothing (RFC 9110 7.8)", () => {
  for (const [fields, last] of [["Upgrade: c\r\n", "refused 400"], ["", "PAUSED"]]) {
    const [conn] = pair();
    conn.send(request("GET", ...UPGRADE));
    conn.send(end);
    const { lines } = receive(conn, [latin1(`HTTP/1.1 101 x\r\n${fields}\r\n`)]);
    assertEquals(lines.at(-1), last);
  }
});

Deno.test("CLIENT does not wait for a switch that it asked for without the connection option (RFC 9110 7.8)", () => {
  const [conn] = pair();
  conn.send(request("GET", ["Upgrade", "b"]));
  conn.send(end);
  assertEquals(conn.ourState, h11.DONE);
});

for (
  const [what, head] of [
    ["without its connection option", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: b\r\n\r\n"],
    ["with another option", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: b\r\nConnection: c\r\n\r\n"],
    [
      "that names nothing",
      "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: ,\r\nConnection: upgrade\r\n\r\n",
    ],
    [
      "in HTTP/1.0",
      "GET / HTTP/1.0\r\nUpgrade: b\r\nConnection: upgrade, keep-alive\r\n\r\n",
    ],
  ]
) {
  Deno.test(`SERVER passes over an Upgrade ${what} (RFC 9110 7.8)`, () => {
    const conn = serverAfter(head);
    assertEquals(conn.theirState, h11.DONE);
    assertThrows(() => conn.send(informational(101, ...UPGRADE)), h11.LocalProtocolError);
  });
}

for (const fields of ["Upgrade: WebSocket\r\nConnection: upgrade", "Upgrade: a, x-websocket/1"]) {
  Deno.test(`SERVER reads no request after one with ${JSON.stringify(fields)} that it answers`, () => {
    const conn = serverAfter(`GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n`);
    assertMatch(
      text(conn.send(new h11.Response({ statusCode: 200 }))!),
      /\r\nConnection: close\r\n/,
    );
    conn.send(new h11.EndOfMessage());
    assertEquals(conn.states, { CLIENT: h11.MUST_CLOSE, SERVER: h11.MUST_CLOSE });
  });
}

Deno.test("SERVER takes an Upgrade whose option stands among others", () => {
  const conn = serverAfter(
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: b/1, c\r\nConnection: x, UPGRADE ,y\r\n\r\n",
  );
  assertEquals(conn.theirState, h11.MIGHT_SWITCH_PROTOCOL);
});

Deno.test("Connection becomes a tunnel with 2xx to CONNECT, and keeps the bytes that came early", () => {
  const [c, s] = pair();
  send(c, s, request("CONNECT"), end);
  s.receiveData(latin1("early"));
  assertEquals(s.nextEvent(), h11.PAUSED);
  assertEquals(send(s, c, new h11.Response({ statusCode: 299 })), ["HTTP/1.1 299 ", "PAUSED"]);
  assertBoth([c, s], h11.SWITCHED_PROTOCOL, h11.SWITCHED_PROTOCOL);
  assertEquals(s.trailingData, [latin1("early"), false]);
});

Deno.test("CLIENT takes 2xx to CONNECT as a tunnel whatever its fields say (RFC 9110 9.3.6)", () => {
  const conn = client("CONNECT");
  const { lines } = receive(conn, [latin1("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")]);
  assertEquals(lines, ["HTTP/1.1 200 OK\nContent-Length: 2", "PAUSED"]);
  assertEquals(conn.trailingData, [latin1("hi"), false]);
});

Deno.test("Connection goes on when the server declines to be a tunnel", () => {
  const [c, s] = pair();
  send(c, s, request("CONNECT"), end);
  send(s, c, response(403));
  s.send(end);
  assertBoth([c, s], h11.DONE, h11.DONE);
});

Deno.test("Connection.trailingData is a copy, and tells whether the peer closed", () => {
  const conn = tunnel(h11.SERVER);
  assertEquals(conn.trailingData, [new Uint8Array(0), false]);
  const bytes = latin1("abc");
  conn.receiveData(bytes);
  conn.receiveData(latin1("def"));
  const [trailing] = conn.trailingData;
  trailing.fill(0);
  conn.receiveData(END);
  assertEquals(conn.nextEvent(), h11.PAUSED);
  assertEquals(conn.trailingData, [latin1("abcdef"), true]);
  assertEquals(bytes, latin1("abc"));
});

Deno.test("Connection.trailingData is a copy of a Buffer of Node.js too", () => {
  const conn = tunnel(h11.SERVER);
  const bytes = Buffer.from("abc");
  conn.receiveData(bytes);
  const [trailing] = conn.trailingData;
  bytes.fill(0);
  assertEquals(trailing, latin1("abc"));
});

Deno.test("Connection reads chunk ends and starts apart from how the bytes came", () => {
  const conn = serverAfter("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const log = new Log();
  const flags: [string, boolean, boolean][] = [];
  for (const part of ["4\r\n", "ab", "cd", "\r\n1\r\ne\r\n"]) {
    conn.receiveData(latin1(part));
    for (let event; (event = conn.nextEvent()) !== h11.NEED_DATA;) {
      assert(event instanceof h11.Data);
      log.add(event);
      flags.push([text(event.data), event.chunkStart, event.chunkEnd]);
    }
  }
  assertEquals(flags, [["ab", true, false], ["cd", false, true], ["e", true, true]]);
  assertEquals(log.lines, ["data [abcd]", "data [e]"]);
});

Deno.test("Connection keeps what is buffered once it has returned PAUSED", () => {
  const conn = new h11.Connection(h11.SERVER);
  const request = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const area = latin1(request("/first") + request("/second"));
  conn.receiveData(area);
  conn.nextEvent();
  conn.nextEvent();
  assertEquals(conn.nextEvent(), h11.PAUSED);
  area.fill(0);
  conn.send(new h11.Response({ statusCode: 204 }));
  conn.send(new h11.EndOfMessage());
  conn.startNextCycle();
  assertEquals((conn.nextEvent() as h11.Request).target, "/second");
});

Deno.test("Connection reads a request whose bytes were moved while it was PAUSED, behind an empty line", () => {
  const conn = serverAfter(
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
  );
  const next = `GET /next HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(5000)}\r\n\r\n`;
  // What ends the trailers is as long as what is passed over, so that the request stands as far from the front
  // of the bytes it came in as of those it is moved to.
  assertEquals(receive(conn, [latin1("\r\n\r\n" + next)]).lines, ["end", "PAUSED"]);
  conn.sendWhole(new h11.Response({ statusCode: 200 }), latin1(""));
  conn.startNextCycle();
  assertEquals((conn.nextEvent() as h11.Request).target, "/next");
});

Deno.test("Connections that are given one array one after the other read what it holds then", () => {
  const array = new Uint8Array(128);
  const give = (conn: h11.Connection, message: string): void => {
    array.set(latin1(message));
    conn.receiveData(array.subarray(0, message.length));
  };
  const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const [first, second] = [new h11.Connection(h11.SERVER), new h11.Connection(h11.SERVER)];
  give(first, get("/a") + get("/b"));
  assertEquals((first.nextEvent() as h11.Request).target, "/a");
  assertEquals((first.nextEvent() as h11.Event).type, "EndOfMessage");
  assertEquals(first.nextEvent(), h11.PAUSED);
  give(second, get("/c") + get("/d"));
  assertEquals((second.nextEvent() as h11.Request).target, "/c");
  second.nextEvent();
  for (const [conn, target] of [[second, "/d"], [first, "/b"]] as const) {
    conn.sendWhole(new h11.Response({ statusCode: 200 }), latin1(""));
    conn.startNextCycle();
    assertEquals((conn.nextEvent() as h11.Request).target, target);
  }
});

Deno.test("Request.targetInto() gives the code units of the target, received or not, where there is room", () => {
  const conn = new h11.Connection(h11.SERVER);
  conn.receiveData(latin1("GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n"));
  const received = conn.nextEvent() as h11.Request;
  const made = new h11.Request({ method: "GET", target: "/a?b", headers: { Host: "a" } });
  for (const request of [received, made]) {
    const units = new Uint16Array(6).fill(0x2e);
    assertEquals(request.targetInto(units), 4);
    assertEquals(String.fromCharCode(...units), "/a?b..");
    assertEquals(request.targetInto(units.subarray(3)), -1);
  }
});

Deno.test("Request.contentLength is that of the field, and null without", () => {
  for (const length of [0, 12]) {
    const headers = { Host: "a", "Content-Length": String(length) };
    const request = new h11.Request({ method: "POST", target: "/", headers });
    assertEquals(request.contentLength, length);
  }
  const get = new h11.Request({ method: "GET", target: "/", headers: { Host: "a" } });
  assertEquals(get.contentLength, null);
});
