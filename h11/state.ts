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

// Moving a state is on the path of every event, so the tables above are compiled when the module is
// loaded: states and triggers become numbers, and the second table, which is followed until nothing
// moves, becomes one look-up.

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
const TRIGGER_NUMBER = new Map(TRIGGERS.map((trigger, i) => [trigger, i]));
const NUMBER_OF_STATES = STATES.length;
const NUMBER_OF_TRIGGERS = TRIGGERS.length;

/** Where each role goes: -1 for not allowed. */
const CLIENT_MOVES = compileMoves(CLIENT);
const SERVER_MOVES = compileMoves(SERVER);

function compileMoves(role: Role): Int8Array {
  const moves = new Int8Array(NUMBER_OF_STATES * NUMBER_OF_TRIGGERS).fill(-1);
  STATES.forEach((state, i) => {
    for (
      const [trigger, next] of Object.entries(
        EVENT_TRIGGERED_TRANSITIONS[role][state] ?? {},
      )
    ) {
      moves[i * NUMBER_OF_TRIGGERS + TRIGGER_NUMBER.get(trigger as Trigger)!] = STATES.indexOf(
        next,
      );
    }
  });
  return moves;
}

/** Where two states settle, as `client * NUMBER_OF_STATES + server`, for each of four situations. */
const SETTLED = [0, 1, 2, 3].map((situation) =>
  Uint8Array.from({ length: NUMBER_OF_STATES ** 2 }, (_, joint) => {
    const client = STATES[Math.floor(joint / NUMBER_OF_STATES)];
    const server = STATES[joint % NUMBER_OF_STATES];
    const settled = settle(
      client,
      server,
      (situation & 1) !== 0,
      (situation & 2) !== 0,
    );
    return STATES.indexOf(settled.client) * NUMBER_OF_STATES +
      STATES.indexOf(settled.server);
  })
);

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
  #client = 0;
  #server = 0;
  #keepAlive = true;
  #upgradeProposed = false;
  #connectProposed = false;

  get client(): State {
    return STATES[this.#client];
  }

  get server(): State {
    return STATES[this.#server];
  }

  /** False once either side has said that this cycle is the connection's last. */
  get keepAlive(): boolean {
    return this.#keepAlive;
  }

  /** The client asked for a tunnel and was not answered yet. */
  get connectProposed(): boolean {
    return this.#connectProposed;
  }

  /** `role` sent an event. @throws {LocalProtocolError} It may not, in its state. */
  processEvent(role: Role, trigger: Trigger): void {
    if (
      (trigger === "101 to Upgrade" && !this.#upgradeProposed) ||
      (trigger === "2xx to CONNECT" && !this.#connectProposed)
    ) {
      throw new LocalProtocolError(
        `Cannot send ${trigger} as SERVER: the client did not ask for it`,
      );
    }
    // A response that does not switch protocols declines what was proposed.
    if (trigger === "Response") {
      this.#upgradeProposed = this.#connectProposed = false;
    }
    this.#move(role, trigger);
    if (trigger === "Request") this.#move(SERVER, "Request from CLIENT");
    this.#settle();
  }

  /** The client's request proposed to switch protocols. */
  processSwitchProposal(upgrade: boolean, connect: boolean): void {
    this.#upgradeProposed ||= upgrade;
    this.#connectProposed ||= connect;
    this.#settle();
  }

  /** `role` broke the protocol. */
  processError(role: Role): void {
    if (role === CLIENT) this.#client = STATES.indexOf(ERROR);
    else this.#server = STATES.indexOf(ERROR);
    this.#settle();
  }

  /** This cycle is the last. */
  processKeepAliveDisabled(): void {
    this.#keepAlive = false;
    this.#settle();
  }

  /** Both sides begin again. @throws {LocalProtocolError} They are not both DONE. */
  startNextCycle(): void {
    if (this.client !== DONE || this.server !== DONE) {
      throw new LocalProtocolError(
        `Cannot start the next cycle with CLIENT in state ${this.client} and SERVER in state ` +
          `${this.server}: expected both in state DONE`,
      );
    }
    this.#client = this.#server = STATES.indexOf(IDLE);
  }

  #move(role: Role, trigger: Trigger): void {
    const state = role === CLIENT ? this.#client : this.#server;
    const moves = role === CLIENT ? CLIENT_MOVES : SERVER_MOVES;
    const next = moves[state * NUMBER_OF_TRIGGERS + TRIGGER_NUMBER.get(trigger)!];
    if (next < 0) throw notAllowed(role, STATES[state], trigger);
    if (role === CLIENT) this.#client = next;
    else this.#server = next;
  }

  #settle(): void {
    const situation = (this.#keepAlive ? 1 : 0) +
      (this.#upgradeProposed || this.#connectProposed ? 2 : 0);
    const joint = SETTLED[situation][this.#client * NUMBER_OF_STATES + this.#server];
    this.#client = Math.floor(joint / NUMBER_OF_STATES);
    this.#server = joint % NUMBER_OF_STATES;
  }
}

function notAllowed(
  role: Role,
  state: State,
  trigger: Trigger,
): LocalProtocolError {
  const allowed = Object.keys(EVENT_TRIGGERED_TRANSITIONS[role][state] ?? {})
    .filter((other) => other !== "Request from CLIENT");
  return new LocalProtocolError(
    `Cannot send ${trigger} as ${role} in state ${state}: expected ` +
      (allowed.length === 0 ? "nothing" : allowed.join(" or ")),
  );
}
