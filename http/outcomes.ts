// What is made of a request when its handler, or a hook around it, is over: what it returned is sent, what it
// has begun to send is waited for, and what failed is logged and answered.

import type * as h11 from "../h11.ts";
import type { AnyEvent, EventTask, Route, TimeoutError } from "../listener.ts";
import type { HTTPContext } from "./context.ts";
import { type Exchange, NoResponse } from "./exchange.ts";
import { HTTPError, reasonPhrase, toHTTPError } from "./http_error.ts";
import { discardResponse } from "./response_body.ts";
import { ClientLeft, ConnectionLost } from "./socket.ts";
import { isResponse } from "./web_response.ts";

/** Makes the response that tells an error: see {@linkcode HTTPListener.onHTTPError}. */
export type HTTPErrorHook<C extends HTTPContext = HTTPContext> = (
  error: HTTPError,
  ctx: C,
) => void | Response | Promise<void | Response>;

/** Ends the exchanges of a listener. */
export class Outcomes {
  // deno-lint-ignore no-explicit-any
  #hooks: readonly HTTPErrorHook<any>[] = [];

  /** Has `hook` make responses that tell an error, where no earlier one does. */
  // deno-lint-ignore no-explicit-any
  addErrorHook(hook: HTTPErrorHook<any>): void {
    this.#hooks = [...this.#hooks, hook];
  }

  /** Does what is left to do when a handler is over. */
  settle(exchange: Exchange, { event, status, reason }: EventTask): void | Promise<void> {
    const { error, result, route } = event;
    const hasFailed = status === "rejected" || error !== undefined;
    // It is that of a handler whose after hook has failed.
    if (hasFailed && isResponse(result)) discardResponse(result);
    if (status === "rejected") return this.fail(exchange, reason);
    // An error hook took it, and answered nothing.
    if (hasFailed && !exchange.isResponded) return this.fail(exchange, error);
    const given = hasFailed ? undefined : result;
    if (given === undefined && exchange.isAnswered) return;
    return this.#concludeHandler(exchange, given, route);
  }

  /** Not in `settle()`, where the closure would cost even the requests that never create it. */
  #concludeHandler(exchange: Exchange, given: unknown, route: Route): void | Promise<void> {
    return this.conclude(exchange, given, () => `handler of route "${route.name}"`);
  }

  /**
   * Answers with what a handler or a hook returned, or looks whether it has answered.
   *
   * @param who Names it, for messages.
   * @param advice What to do where it has not answered.
   */
  conclude(
    exchange: Exchange,
    result: unknown,
    who: () => string,
    advice = "call ctx.response()",
  ): void | Promise<void> {
    if (!isResponse(result)) {
      if (exchange.isAnswered) return;
    } else if (exchange.isResponded) {
      exchange.report(
        `Cannot answer ${exchange.label} with the Response that the ${who()} returned: ` +
          "a response was already sent",
      );
      discardResponse(result);
    } else {
      try {
        // Most are there already.
        if (exchange.respondWith(result) === undefined) return;
      } catch (error) {
        return this.fail(exchange, error);
      }
    }
    return this.#finish(exchange, result, who, advice);
  }

  /** Waits for what a handler or hook has begun to send. */
  async #finish(
    exchange: Exchange,
    result: unknown,
    who: () => string,
    advice: string,
  ): Promise<void> {
    try {
      await exchange.sending;
    } catch (error) {
      return this.fail(exchange, error);
    }
    if (exchange.isResponded || exchange.isOver) return;
    const end = result === undefined
      ? `ended without a response; ${advice}`
      : `returned ${kindOf(result)}; return a Response, or ${advice}`;
    return this.fail(exchange, new NoResponse(`the ${who()} ${end}`));
  }

  /** Answers for a handler that threw, where nothing was sent yet, and logs what is a fault of ours. */
  fail(exchange: Exchange, error: unknown): void | Promise<void> {
    const { event } = exchange;
    // Each of the hooks around a request comes to know of a stream that failed.
    const isKnown = error !== undefined && exchange.error === error;
    exchange.error ??= error;
    if (event !== null && event.isTimedOut && event.error === error) {
      exchange.connection.host.counters.handlerTimeouts++;
      exchange.report(`Cannot answer ${exchange.label}: ${(error as TimeoutError).message}`);
      error = new HTTPError(503, undefined, { cause: error });
    } else if (isClientGone(error, event)) {
      error = new HTTPError(CLIENT_CLOSED_REQUEST, "Client Closed Request", { cause: error });
    } else if (error instanceof NoResponse) {
      exchange.report(`Cannot answer ${exchange.label}: ${error.why}`);
    } else if (!isKnown && isResponse(error)) {
      exchange.report(
        `Cannot answer ${exchange.label}: a Response was thrown; return it, or throw an HTTPError`,
      );
    } else if (!isKnown && (!(error instanceof HTTPError) || isLost(error, exchange))) {
      exchange.report(`Cannot answer ${exchange.label}`, { error });
    }
    if (exchange.isResponded || exchange.isOver) exchange.giveUp();
    // Unless the response could be taken back.
    if (exchange.isResponded || exchange.isOver) return;
    const answer = toHTTPError(error);
    exchange.dropFieldsOfBody();
    if (this.#hooks.length > 0 && exchange.context !== null) {
      return this.#askErrorHooks(exchange, answer);
    }
    return this.#respondToError(exchange, answer, answer.headers);
  }

  async #askErrorHooks(exchange: Exchange, error: HTTPError): Promise<void> {
    let { headers } = error;
    try {
      exchange.beginFailing(headers);
      // From here on the exchange has them.
      headers = [];
      for (const hook of this.#hooks) {
        const given = await hook(error, exchange.context);
        if (!isResponse(given)) continue;
        if (exchange.isOver) return discardResponse(given);
        exchange.endFailing();
        await exchange.beginWith(given);
        await exchange.sending;
        return;
      }
    } catch (error) {
      exchange.report(`Cannot answer ${exchange.label}: a hook of onHTTPError() failed`, { error });
    }
    exchange.endFailing();
    if (exchange.isResponded || exchange.isOver) return;
    await this.#respondToError(exchange, error, headers);
  }

  #respondToError(
    exchange: Exchange,
    { status, message }: HTTPError,
    headers: h11.HeadersInit,
  ): void | Promise<void> {
    const onFailure = (error: unknown): void => {
      exchange.report(`Cannot answer ${exchange.label} with ${status}`, { error });
      if (exchange.isResponded || exchange.isOver) return;
      exchange.respond(500, reasonPhrase(500), []);
    };
    try {
      return exchange.respond(status, message, headers)?.catch(onFailure);
    } catch (error) {
      onFailure(error);
    }
  }
}

/**
 * The status that nginx logs for a client that disconnected before it was answered. A client that has only
 * closed its sending half receives it, as a 4xx that it does not know (RFC 9110 15.5).
 */
const CLIENT_CLOSED_REQUEST = 499;

/** Whether a server error comes too late for a response of its own: nothing else would tell of it. */
function isLost({ status }: HTTPError, exchange: Exchange): boolean {
  return status >= 500 && exchange.status !== 0;
}

/** Whether a handler failed because its client disconnected, which is no fault of the application. */
function isClientGone(error: unknown, event: AnyEvent | null): boolean {
  if (error instanceof ConnectionLost) return true;
  if (!(event?.signal.reason instanceof ClientLeft)) return false;
  // Whatever observed the signal may have failed with an AbortError of its own, or the handler just ended.
  return error instanceof NoResponse || (error instanceof Error && error.name === "AbortError");
}

/** What a value is, for messages: "a string". */
function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (typeof value !== "object") return `a ${typeof value}`;
  if (value instanceof Error) return "an error (throw it)";
  return "an object that is not a Response (use Response.json())";
}
