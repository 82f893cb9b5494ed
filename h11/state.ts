// The lifecycle of an HTTP/1.1 connection, as in Python's h11. Two rules hold in this file:
//
// 1. All state transitions are here.
// 2. Nothing here knows which role is ours, so the same rules apply to both peers.
//
// A connection has two state machines, one for each role. They move in two ways. When a role sends an
// event, EVENT_TRIGGERED_TRANSITIONS applies. After that, the combination of the two states, keep-alive
// and proposals to switch protocols move them further until they settle.

import { LocalProtocolError } from "./errors.ts";

/** The role of the side that sends requests. */
export const CLIENT = "CLIENT";
/** The role of the side that sends responses. */
export const SERVER = "SERVER";
/** One of the two sides of a connection. */
export type Role = typeof CLIENT | typeof SERVER;

/** This side has sent nothing in this cycle yet. */
export const IDLE = "IDLE";
/** It is the server's turn: a request has begun, but not its response. */
export const SEND_RESPONSE = "SEND_RESPONSE";
/** A head has been sent; `Data` and `EndOfMessage` follow. */
export const SEND_BODY = "SEND_BODY";
/** The message is complete, and the connection can be reused. */
export const DONE = "DONE";
/** The message is complete, and the connection cannot be reused. */
export const MUST_CLOSE = "MUST_CLOSE";
/** This side has closed its half of the connection. */
export const CLOSED = "CLOSED";
/** This side violated the protocol. This state is final. */
export const ERROR = "ERROR";
/** The client proposed another protocol and waits for the server's response. */
export const MIGHT_SWITCH_PROTOCOL = "MIGHT_SWITCH_PROTOCOL";
/** The connection uses another protocol from here on. */
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

/** What triggers a transition: the type of an event, or a more specific case of it. */
export type Trigger =
  | "Request"
  | "InformationalResponse"
  | "Response"
  | "Data"
  | "EndOfMessage"
  | "ConnectionClosed"
  /** The effect of the client's request on the server. */
  | "Request from CLIENT"
  /** 101 (Switching Protocols), accepting an Upgrade. */
  | "101 to Upgrade"
  /** 2xx, accepting a CONNECT. */
  | "2xx to CONNECT";

type EventTransitions = Record<
  Role,
  { [S in State]?: { [T in Trigger]?: State } }
>;

/** The next state of a role that sends an event, by its current state. Events not listed are not allowed. */
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

/** The next states that follow from the combination of both: `[client's state][server's state]`. */
export const STATE_TRIGGERED_TRANSITIONS: StateTransitions = {
  MIGHT_SWITCH_PROTOCOL: { SWITCHED_PROTOCOL: { CLIENT: SWITCHED_PROTOCOL } },
  CLOSED: { DONE: { SERVER: MUST_CLOSE }, IDLE: { SERVER: MUST_CLOSE } },
  ERROR: { DONE: { SERVER: MUST_CLOSE } },
  DONE: { CLOSED: { CLIENT: MUST_CLOSE }, ERROR: { CLIENT: MUST_CLOSE } },
  IDLE: { CLOSED: { CLIENT: MUST_CLOSE } },
};

// State transitions are on the path of every event, so the tables above are compiled to numbers. The
// situation of a connection is one number: the server's state in bits 0 to 3, the client's in bits 4 to 7,
// and the shared flags above. Handling an event is one look-up in the table of its trigger. A second look-up
// follows the state-triggered transitions until the states settle.

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

/** What the client must have proposed before each trigger. */
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

// The tables above, compiled to numbers. Entries are computed on first use: most are never used, and
// computing all of them would take a sixth of the startup time of a server.
const UNKNOWN = -2;
const NOT_ALLOWED = -1;
const CLIENT_MOVES = new Int16Array(TRIGGERS.length << 8).fill(UNKNOWN);
const SERVER_MOVES = new Int16Array(TRIGGERS.length << 8).fill(UNKNOWN);
const SETTLED = new Int16Array(SITUATIONS).fill(UNKNOWN);
/** Where a complete response of the server leads, if nothing else has to be considered. */
const AFTER_RESPONSE = new Int16Array(SITUATIONS).fill(UNKNOWN);

/** The two states after an event of `role`. */
function move(role: Role, trigger: Trigger, both: number): number {
  const [client, server] = [clientOf(both), serverOf(both)];
  if (role === SERVER) {
    const next = EVENT_TRIGGERED_TRANSITIONS.SERVER[server]?.[trigger];
    return next === undefined ? NOT_ALLOWED : together(client, next);
  }
  const next = EVENT_TRIGGERED_TRANSITIONS.CLIENT[client]?.[trigger];
  // The client's request also moves the server.
  const other = trigger === "Request"
    ? EVENT_TRIGGERED_TRANSITIONS.SERVER[server]?.["Request from CLIENT"]
    : server;
  return next === undefined || other === undefined ? NOT_ALLOWED : together(next, other);
}

/** The situation in which `situation` settles. */
function settled(situation: number): number {
  const { client, server } = settle(
    clientOf(situation),
    serverOf(situation),
    (situation & KEEP_ALIVE_DISABLED) === 0,
    (situation & (UPGRADE_PROPOSED | CONNECT_PROPOSED)) !== 0,
  );
  return situation & ~BOTH_STATES | together(client, server);
}

/** The situation after a response and its end, if the connection has no flags set and no error. */
function afterResponse(situation: number): number {
  if ((situation & ~BOTH_STATES) !== 0 || clientOf(situation) === ERROR) return NOT_ALLOWED;
  const both = move(SERVER, "Response", situation);
  return both === NOT_ALLOWED ? NOT_ALLOWED : settled(move(SERVER, "EndOfMessage", settled(both)));
}

/** Follows the transitions that no event triggers until the states settle. */
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

/** The states of both roles, and the flags they share. */
export class ConnectionState {
  #situation = BOTH_IDLE;

  get client(): State {
    return clientOf(this.#situation);
  }

  get server(): State {
    return serverOf(this.#situation);
  }

  /** False once either side has announced that this cycle is the last of the connection. */
  get keepAlive(): boolean {
    return (this.#situation & KEEP_ALIVE_DISABLED) === 0;
  }

  /** Whether the client proposed another protocol and has received no answer yet. */
  get upgradeProposed(): boolean {
    return (this.#situation & UPGRADE_PROPOSED) !== 0;
  }

  /** Whether the client asked for a tunnel and has received no answer yet. */
  get connectProposed(): boolean {
    return (this.#situation & CONNECT_PROPOSED) !== 0;
  }

  /** Handles an event sent by `role`. @throws {LocalProtocolError} Its state does not allow the event. */
  processEvent(role: Role, trigger: Trigger): void {
    const number = numberOf(trigger);
    let situation = this.#situation;
    if ((situation & ASKED[number]) !== ASKED[number]) {
      throw new LocalProtocolError(
        `Cannot send ${trigger} as SERVER: the client did not request it`,
      );
    }
    // A response that does not switch protocols declines the proposal.
    if (trigger === "Response") situation &= ~(UPGRADE_PROPOSED | CONNECT_PROPOSED);
    const moves = role === CLIENT ? CLIENT_MOVES : SERVER_MOVES;
    const both = situation & BOTH_STATES;
    let next = moves[number << 8 | both];
    if (next === UNKNOWN) next = moves[number << 8 | both] = move(role, trigger, both);
    if (next === NOT_ALLOWED) throw notAllowed(role, situation, trigger);
    this.#settle(situation & ~BOTH_STATES | next);
  }

  /**
   * Handles a response of the server together with its end.
   *
   * @returns Whether this was done. It is done only in the usual situation, without flags or errors;
   * otherwise nothing has moved.
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

  /** Handles a protocol violation by `role`. */
  processError(role: Role): void {
    const situation = this.#situation;
    const both = role === CLIENT ? together(ERROR, this.server) : together(this.client, ERROR);
    this.#settle(situation & ~BOTH_STATES | both);
  }

  /** Makes this cycle the last one. */
  processKeepAliveDisabled(): void {
    this.#settle(this.#situation | KEEP_ALIVE_DISABLED);
  }

  /** Returns both sides to IDLE. @throws {LocalProtocolError} They are not both DONE. */
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

/** Rewords a message of `processEvent` for the side that received the event. */
export function wordedAsRead(message: string): string {
  return message.replace(/^Cannot send (.+?) as (CLIENT|SERVER)/, "Cannot accept $1 from $2");
}

function notAllowed(role: Role, situation: number, trigger: Trigger): LocalProtocolError {
  const state = role === CLIENT ? clientOf(situation) : serverOf(situation);
  if (role === CLIENT && EVENT_TRIGGERED_TRANSITIONS.CLIENT[state]?.[trigger] !== undefined) {
    // The server's state does not allow the request: it has responded early, violated the protocol, or
    // closed.
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
      (allowed.length === 0 ? "nothing" : allowed.join(" or ")) +
      (state === DONE ? ", or startNextCycle() first" : ""),
  );
}
