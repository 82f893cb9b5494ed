// The lifecycle of an HTTP/1.1 connection, as in Python's h11. Two rules hold in this file:
//
// 1. Whatever moves a state lives here.
// 2. Nothing here knows which role is ours, so both peers are judged by one law.
//
// A connection has two state machines, one for each role, and two ways in which they move: an event
// (a role sends something) moves along EVENT_TRIGGERED_TRANSITIONS; after that the two states
// together, keep-alive and the proposals to switch protocols move them along the rest until nothing
// moves any more.

import { LocalProtocolError } from "./errors.ts";

/** The role of the side that sends requests. */
export const CLIENT = "CLIENT";
/** The role of the side that sends responses. */
export const SERVER = "SERVER";
/** One of the two sides of a connection. */
export type Role = typeof CLIENT | typeof SERVER;

/** Nothing of this cycle has been sent yet. */
export const IDLE = "IDLE";
/** The server's turn: a request has begun, its response has not. */
export const SEND_RESPONSE = "SEND_RESPONSE";
/** A head has been sent; `Data` and `EndOfMessage` follow. */
export const SEND_BODY = "SEND_BODY";
/** The message is complete and the connection may be used again. */
export const DONE = "DONE";
/** The message is complete and the connection may not be used again. */
export const MUST_CLOSE = "MUST_CLOSE";
/** This side has closed its half of the connection. */
export const CLOSED = "CLOSED";
/** This side broke the protocol, and stays here. */
export const ERROR = "ERROR";
/** The client asked for another protocol and waits for the server's answer. */
export const MIGHT_SWITCH_PROTOCOL = "MIGHT_SWITCH_PROTOCOL";
/** The connection speaks another protocol from here on. */
export const SWITCHED_PROTOCOL = "SWITCHED_PROTOCOL";
/** A state of one side of a connection. */
export type State =
  | typeof IDLE
  | typeof SEND_RESPONSE
  | typeof SEND_BODY
  | typeof DONE
  | typeof MUST_CLOSE
  | typeof CLOSED
  | typeof ERROR
  | typeof MIGHT_SWITCH_PROTOCOL
  | typeof SWITCHED_PROTOCOL;

/** What an event is to the state machines: its type, and what more there is to it. */
export type Trigger =
  | "Request"
  | "InformationalResponse"
  | "Response"
  | "Data"
  | "EndOfMessage"
  | "ConnectionClosed"
  /** The client's request, as it moves the server. */
  | "Request from CLIENT"
  /** 101 (Switching Protocols), accepting an Upgrade. */
  | "101 to Upgrade"
  /** 2xx, accepting a CONNECT. */
  | "2xx to CONNECT";

type EventTransitions = Record<
  Role,
  { [S in State]?: { [T in Trigger]?: State } }
>;

/** Where a role goes from a state when it sends an event; what is not here is not allowed. */
export const EVENT_TRIGGERED_TRANSITIONS: EventTransitions = {
  CLIENT: {
    IDLE: { "Request": SEND_BODY, "ConnectionClosed": CLOSED },
    SEND_BODY: { "Data": SEND_BODY, "EndOfMessage": DONE },
    DONE: { "ConnectionClosed": CLOSED },
    MUST_CLOSE: { "ConnectionClosed": CLOSED },
    CLOSED: { "ConnectionClosed": CLOSED },
    MIGHT_SWITCH_PROTOCOL: {},
    SWITCHED_PROTOCOL: {},
    ERROR: {},
  },
  SERVER: {
    IDLE: {
      "ConnectionClosed": CLOSED,
      "Response": SEND_BODY,
      "Request from CLIENT": SEND_RESPONSE,
    },
    SEND_RESPONSE: {
      "InformationalResponse": SEND_RESPONSE,
      "Response": SEND_BODY,
      "101 to Upgrade": SWITCHED_PROTOCOL,
      "2xx to CONNECT": SWITCHED_PROTOCOL,
    },
    SEND_BODY: { "Data": SEND_BODY, "EndOfMessage": DONE },
    DONE: { "ConnectionClosed": CLOSED },
    MUST_CLOSE: { "ConnectionClosed": CLOSED },
    CLOSED: { "ConnectionClosed": CLOSED },
    SWITCHED_PROTOCOL: {},
    ERROR: {},
  },
};

type StateTransitions = {
  [C in State]?: { [S in State]?: { [R in Role]?: State } };
};

/** Where a role goes because of the states of the two: `[client's state][server's state]`. */
export const STATE_TRIGGERED_TRANSITIONS: StateTransitions = {
  MIGHT_SWITCH_PROTOCOL: { SWITCHED_PROTOCOL: { CLIENT: SWITCHED_PROTOCOL } },
  CLOSED: { DONE: { SERVER: MUST_CLOSE }, IDLE: { SERVER: MUST_CLOSE } },
  ERROR: { DONE: { SERVER: MUST_CLOSE } },
  DONE: { CLOSED: { CLIENT: MUST_CLOSE }, ERROR: { CLIENT: MUST_CLOSE } },
  IDLE: { CLOSED: { CLIENT: MUST_CLOSE } },
};

// Moving a state is on the path of every event, so what the tables above say is kept as numbers. A
// connection's whole situation is one number: the server's state in bits 0 to 3, the client's in bits
// 4 to 7, and what the two share above. An event is a look-up in the table of its trigger, and what
// moves after it, until nothing moves any more, is another.

const STATES: readonly State[] = [
  IDLE,
  SEND_RESPONSE,
  SEND_BODY,
  DONE,
  MUST_CLOSE,
  CLOSED,
  ERROR,
  MIGHT_SWITCH_PROTOCOL,
  SWITCHED_PROTOCOL,
];
const TRIGGERS: readonly Trigger[] = [
  "Request",
  "InformationalResponse",
  "Response",
  "Data",
  "EndOfMessage",
  "ConnectionClosed",
  "Request from CLIENT",
  "101 to Upgrade",
  "2xx to CONNECT",
];

const BOTH_STATES = 0xff;
const KEEP_ALIVE_DISABLED = 0x100;
const UPGRADE_PROPOSED = 0x200;
const CONNECT_PROPOSED = 0x400;
const SITUATIONS = 0x800;

function clientOf(situation: number): State {
  return STATES[situation >> 4 & 0xf];
}

function serverOf(situation: number): State {
  return STATES[situation & 0xf];
}

function together(client: State, server: State): number {
  return STATES.indexOf(client) << 4 | STATES.indexOf(server);
}

function numberOf(trigger: Trigger): number {
  switch (trigger) {
    case "Request":
      return 0;
    case "InformationalResponse":
      return 1;
    case "Response":
      return 2;
    case "Data":
      return 3;
    case "EndOfMessage":
      return 4;
    case "ConnectionClosed":
      return 5;
    case "Request from CLIENT":
      return 6;
    case "101 to Upgrade":
      return 7;
    case "2xx to CONNECT":
      return 8;
  }
}

/** What the client has to have asked for before each trigger. */
const ASKED = Uint16Array.from(
  TRIGGERS,
  (trigger) =>
    trigger === "101 to Upgrade"
      ? UPGRADE_PROPOSED
      : trigger === "2xx to CONNECT"
      ? CONNECT_PROPOSED
      : 0,
);

const BOTH_IDLE = together(IDLE, IDLE);
const BOTH_DONE = together(DONE, DONE);

// What the tables above say, in numbers. Each is worked out when it is asked for first: most never are, and
// all of them together would take a sixth of the time in which a server starts.
const UNKNOWN = -2;
const NOT_ALLOWED = -1;
const CLIENT_MOVES = new Int16Array(TRIGGERS.length << 8).fill(UNKNOWN);
const SERVER_MOVES = new Int16Array(TRIGGERS.length << 8).fill(UNKNOWN);
const SETTLED = new Int16Array(SITUATIONS).fill(UNKNOWN);
/** Where a whole response of the server leads, where that asks for nothing else. */
const AFTER_RESPONSE = new Int16Array(SITUATIONS).fill(UNKNOWN);

/** Where an event of `role` moves both states. */
function move(role: Role, trigger: Trigger, both: number): number {
  const [client, server] = [clientOf(both), serverOf(both)];
  if (role === SERVER) {
    const next = EVENT_TRIGGERED_TRANSITIONS.SERVER[server]?.[trigger];
    return next === undefined ? NOT_ALLOWED : together(client, next);
  }
  const next = EVENT_TRIGGERED_TRANSITIONS.CLIENT[client]?.[trigger];
  // The client's request moves the server too.
  const other = trigger === "Request"
    ? EVENT_TRIGGERED_TRANSITIONS.SERVER[server]?.["Request from CLIENT"]
    : server;
  return next === undefined || other === undefined ? NOT_ALLOWED : together(next, other);
}

/** Where a situation settles. */
function settled(situation: number): number {
  const { client, server } = settle(
    clientOf(situation),
    serverOf(situation),
    (situation & KEEP_ALIVE_DISABLED) === 0,
    (situation & (UPGRADE_PROPOSED | CONNECT_PROPOSED)) !== 0,
  );
  return situation & ~BOTH_STATES | together(client, server);
}

/** Where a response and its end move the server, where the connection goes on as it is. */
function afterResponse(situation: number): number {
  if ((situation & ~BOTH_STATES) !== 0 || clientOf(situation) === ERROR) return NOT_ALLOWED;
  const both = move(SERVER, "Response", situation);
  return both === NOT_ALLOWED ? NOT_ALLOWED : settled(move(SERVER, "EndOfMessage", settled(both)));
}

/** Follows what is not triggered by an event until nothing moves any more. */
function settle(
  client: State,
  server: State,
  keepAlive: boolean,
  switchProposed: boolean,
): { client: State; server: State } {
  const before = { client, server };
  if (client === DONE && switchProposed) client = MIGHT_SWITCH_PROTOCOL;
  else if (client === MIGHT_SWITCH_PROTOCOL && !switchProposed) client = DONE;
  if (!keepAlive) {
    if (client === DONE) client = MUST_CLOSE;
    if (server === DONE) server = MUST_CLOSE;
  }
  const changes = STATE_TRIGGERED_TRANSITIONS[client]?.[server];
  client = changes?.CLIENT ?? client;
  server = changes?.SERVER ?? server;
  return client === before.client && server === before.server
    ? before
    : settle(client, server, keepAlive, switchProposed);
}

/** The states of both roles, and what they share. */
export class ConnectionState {
  #situation = BOTH_IDLE;

  get client(): State {
    return clientOf(this.#situation);
  }

  get server(): State {
    return serverOf(this.#situation);
  }

  /** False once either side has said that this cycle is the connection's last. */
  get keepAlive(): boolean {
    return (this.#situation & KEEP_ALIVE_DISABLED) === 0;
  }

  /** The client asked for another protocol and was not answered yet. */
  get upgradeProposed(): boolean {
    return (this.#situation & UPGRADE_PROPOSED) !== 0;
  }

  /** The client asked for a tunnel and was not answered yet. */
  get connectProposed(): boolean {
    return (this.#situation & CONNECT_PROPOSED) !== 0;
  }

  /** `role` sent an event. @throws {LocalProtocolError} It may not, in its state. */
  processEvent(role: Role, trigger: Trigger): void {
    const number = numberOf(trigger);
    let situation = this.#situation;
    if ((situation & ASKED[number]) !== ASKED[number]) {
      throw new LocalProtocolError(
        `Cannot send ${trigger} as SERVER: the client did not ask for it`,
      );
    }
    // A response that does not switch protocols declines what was proposed.
    if (trigger === "Response") situation &= ~(UPGRADE_PROPOSED | CONNECT_PROPOSED);
    const moves = role === CLIENT ? CLIENT_MOVES : SERVER_MOVES;
    const both = situation & BOTH_STATES;
    let next = moves[number << 8 | both];
    if (next === UNKNOWN) next = moves[number << 8 | both] = move(role, trigger, both);
    if (next === NOT_ALLOWED) throw notAllowed(role, situation, trigger);
    this.#settle(situation & ~BOTH_STATES | next);
  }

  /**
   * The server sends a response and its end at once.
   *
   * @returns Whether that is done: it is for one who speaks up to here as most do. Else nothing has moved.
   */
  processWholeResponse(): boolean {
    const situation = this.#situation;
    let next = AFTER_RESPONSE[situation];
    if (next === UNKNOWN) next = AFTER_RESPONSE[situation] = afterResponse(situation);
    if (next === NOT_ALLOWED) return false;
    this.#situation = next;
    return true;
  }

  /** The client's request proposed to switch protocols. */
  processSwitchProposal(upgrade: boolean, connect: boolean): void {
    const proposed = (upgrade ? UPGRADE_PROPOSED : 0) | (connect ? CONNECT_PROPOSED : 0);
    this.#settle(this.#situation | proposed);
  }

  /** `role` broke the protocol. */
  processError(role: Role): void {
    const situation = this.#situation;
    const both = role === CLIENT ? together(ERROR, this.server) : together(this.client, ERROR);
    this.#settle(situation & ~BOTH_STATES | both);
  }

  /** This cycle is the last. */
  processKeepAliveDisabled(): void {
    this.#settle(this.#situation | KEEP_ALIVE_DISABLED);
  }

  /** Both sides begin again. @throws {LocalProtocolError} They are not both DONE. */
  startNextCycle(): void {
    const situation = this.#situation;
    if ((situation & BOTH_STATES) !== BOTH_DONE) {
      const { client, server } = this;
      throw new LocalProtocolError(
        `Cannot start the next cycle with CLIENT in state ${client} and SERVER in state ` +
          `${server}: expected both in state DONE`,
      );
    }
    this.#situation = situation & ~BOTH_STATES | BOTH_IDLE;
  }

  #settle(situation: number): void {
    let next = SETTLED[situation];
    if (next === UNKNOWN) next = SETTLED[situation] = settled(situation);
    this.#situation = next;
  }
}

/** A message of `processEvent`, worded for the side that has read the event. */
export function wordedAsRead(message: string): string {
  return message.replace(/^Cannot send (.+?) as (CLIENT|SERVER)/, "Cannot take $1 from $2");
}

function notAllowed(role: Role, situation: number, trigger: Trigger): LocalProtocolError {
  const state = role === CLIENT ? clientOf(situation) : serverOf(situation);
  if (role === CLIENT && EVENT_TRIGGERED_TRANSITIONS.CLIENT[state]?.[trigger] !== undefined) {
    // It is the server that the request cannot move: it answered before, broke the protocol, or has closed.
    return new LocalProtocolError(
      `Cannot use ${trigger} with SERVER in state ${
        serverOf(situation)
      }: expected it in state IDLE`,
    );
  }
  const allowed = Object.keys(EVENT_TRIGGERED_TRANSITIONS[role][state] ?? {})
    .filter((other) => other !== "Request from CLIENT");
  return new LocalProtocolError(
    `Cannot send ${trigger} as ${role} in state ${state}: expected ` +
      (allowed.length === 0 ? "nothing" : allowed.join(" or ")),
  );
}
