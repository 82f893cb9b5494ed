// Hooks that see a response before it is sent.

import * as h11 from "../h11.ts";
import type { HTTPContext } from "./context.ts";
import {
  checkBody,
  Chunks,
  discard,
  discardResponse,
  type ResponseBody,
  typeOf,
} from "./response_body.ts";
import { type AddedFields, pairsOf } from "./response_head.ts";
import { fieldsOf, isInDisguise, isResponse, isStreamed, problemOf } from "./web_response.ts";

/** Sees a response before it is sent: see {@linkcode HTTPListener.beforeResponse}. */
export type ResponseHook<C extends HTTPContext = HTTPContext> = (
  response: Response,
  ctx: C,
) => void | Response | Promise<void | Response>;

/** Statuses whose responses have no body (Fetch 2.2.4). */
const NULL_BODY = new Set([204, 205, 304]);

const encoder = new TextEncoder();

/** Passes `response` through `hooks`, from index `at` on; returns a promise if a hook does. */
export function passThrough<C extends HTTPContext>(
  hooks: readonly ResponseHook<C>[],
  response: Response,
  ctx: C,
  at = 0,
): Response | Promise<Response> {
  if (at === hooks.length) return response;
  const goOn = (given: void | Response): Response | Promise<Response> => {
    const next = isResponse(given) ? given : response;
    const problem = problemOf(next);
    if (problem !== null) {
      const { name } = hooks[at];
      throw new TypeError(
        `Cannot send the response after the hook of beforeResponse()${
          name && ` "${name}"`
        }: ${problem}`,
      );
    }
    // A stream in its place may read the original one, which it need not have begun.
    if (next !== response && isStreamed(response) && !isStreamed(next)) discardResponse(response);
    return passThrough(hooks, next === response ? next : mutable(next), ctx, at + 1);
  };
  const fail = (error: unknown): never => {
    discardResponse(response);
    throw error;
  };
  try {
    const given = hooks[at](response, ctx);
    if (given === undefined || isResponse(given)) return goOn(given);
    return Promise.resolve(given).then(goOn).catch(fail);
  } catch (error) {
    return fail(error);
  }
}

/**
 * A web response made of what a handler gave to `ctx.response()`.
 *
 * @throws {LocalProtocolError} A field is invalid.
 * @throws {TypeError} The body cannot be sent.
 */
export function toResponse(status: number, body: ResponseBody, headers: h11.HeadersInit): Response {
  const fields = new h11.Headers(pairsOf(headers));
  checkBody(body);
  const init = { status, headers: fields.rawItems() };
  const type = typeOf(body);
  if (type !== null && !fields.has("content-type")) init.headers.push(["Content-Type", type]);
  if (!NULL_BODY.has(status)) return new Response(bodyInit(body), init);
  discard(body);
  return new Response(null, init);
}

function bodyInit(body: ResponseBody): BodyInit | null {
  if (body === null || typeof body === "string") return body;
  if (body instanceof Uint8Array) {
    // A Response does not take shared memory.
    return body.buffer instanceof ArrayBuffer
      ? body as Uint8Array<ArrayBuffer>
      : new Uint8Array(body);
  }
  const stream = streamOf(body);
  produced.add(stream);
  return stream;
}

/** The bodies that are made of what a handler gave to `ctx.response()`. */
const produced = new WeakSet<ReadableStream>();

/** Whether `body` is such a stream: to find out its length would start its producer. */
export function isProduced(body: ReadableStream): boolean {
  return produced.has(body);
}

/** A stream of the parts of `body`, which is asked for none before somebody reads them. */
function streamOf(
  body: ReadableStream<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const parts = body instanceof ReadableStream
    ? new Chunks(body.getReader())
    : body[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller): Promise<void> {
      const { done, value } = await parts.next();
      if (done) return controller.close();
      const part = typeof value === "string" ? encoder.encode(value) : value;
      controller.enqueue(part as Uint8Array<ArrayBuffer>);
    },
    async cancel(reason): Promise<void> {
      await parts.return?.(reason);
    },
  }, { highWaterMark: 0 });
}

/** `response` with the `added` fields, so that hooks can change all of its fields. */
export function withFields(response: Response, added: AddedFields | null): Response {
  const result = mutable(response);
  if (added === null) return result;
  const own = [...result.headers];
  for (const [name, value] of added.mergeWith(own).slice(own.length)) {
    result.headers.append(name, value);
  }
  return result;
}

/** `response`, or a copy if its fields cannot be changed, as those of `fetch()`. */
function mutable(response: Response): Response {
  return canChangeFields(response) ? response : copyOf(response);
}

function canChangeFields(response: Response): boolean {
  if (isInDisguise(response)) return false;
  try {
    // Changes nothing: it throws if fields cannot be changed, whether or not there is this one (Fetch 5.1,
    // "validate").
    response.headers.delete(NO_FIELD);
    return true;
  } catch {
    return false;
  }
}

/** The name of a field that no response has. */
const NO_FIELD = "~".repeat(16);

function copyOf(response: Response): Response {
  const { status, statusText, body } = response;
  const { fields, type } = fieldsOf(response);
  const headers = fields as [string, string][];
  const result = new Response(body, { status, statusText, headers });
  if (type !== null) result.headers.set("Content-Type", type);
  return result;
}
