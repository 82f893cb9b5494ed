// A web Response: whether it can be sent, and how much of it is available without waiting.

import { isProxy } from "./operations.ts";

/** Fields as Deno keeps them: pairs of a name, as it was given, and a value. */
type Fields = readonly (readonly [name: string, value: string])[];

/** The fields of a response, and the type of its body. */
export interface FieldsAndType {
  readonly fields: Fields;
  /** The `Content-Type`, if the response has it outside of `fields`. */
  readonly type: string | null;
}

/** A response that is available as a whole. */
export interface WholeResponse extends FieldsAndType {
  readonly status: number;
  readonly reason: string;
  readonly body: string | Uint8Array | null;
}

// Where Deno keeps the parts of a Response. Reading them there avoids the stream that `body` creates, the
// iterators of `headers`, and an array for the bytes of each text: more than half of the time and most of the
// garbage of a small exchange of serve(). Deno.serve reads them in the same way. Nothing guarantees that they
// stay there: if Deno moves them, responses are read through the standard interface.
interface Places {
  /** The internal representation of a response. */
  readonly inner: symbol;
  /** The text of a response that was made from a text alone, until more is asked of it. */
  readonly text: symbol;
  /**
   * The type of a response that was made without other fields, until they are asked for. Null means plain
   * text if `text` is there, and no type otherwise.
   */
  readonly type: symbol;
  /** Whether that text was read. */
  readonly isTextRead: symbol;
  /** What Deno has prepared outside of V8 for sending, as long as nobody has asked for the fields. */
  readonly native: symbol;
  /** Deno's own getter of the fields: a subclass in a program may have another. */
  readonly headers: () => unknown;
}

interface Kept {
  [symbol: symbol]: unknown;
}

interface Inner {
  readonly status: number;
  readonly statusMessage: string;
  readonly headerList: Fields;
  /** `fetch()` has decoded the body: fields about its encoding no longer apply, but are still there. */
  readonly bodyDecoded: boolean;
  readonly body: { readonly streamOrStatic: { body?: unknown; consumed?: boolean } } | null;
}

/** The type of plain text (Fetch 5.2, BodyInit). */
const PLAIN_TEXT = "text/plain;charset=UTF-8";
const NO_FIELDS: Fields = Object.freeze([]);
/** Fields that tell how a body was encoded, and its length in that encoding. */
const OF_ENCODING = new Set(["content-encoding", "content-length", "transfer-encoding"]);
/** The encodings that Deno's `fetch()` decodes. */
const DECODED = new Set<string | null>(["br", "gzip"]);

let found: Places | null | undefined = undefined;

/**
 * The places; null if Deno has changed them. They are looked up for the first response: a server that sends
 * none does not load fetch for it.
 */
function placesOfResponse(): Places | null {
  if (found === undefined) found = findPlaces();
  return found;
}

function findPlaces(): Places | null {
  try {
    const symbols = Object.getOwnPropertySymbols(new Response(""));
    const called = (name: string): symbol =>
      symbols.find(({ description }) => description === name) ?? Symbol();
    const ofDeno = Object.getPrototypeOf(Response.json(1));
    const places: Places = {
      inner: called("response"),
      text: called("lazy static body"),
      type: called("lazy static content type"),
      isTextRead: called("serve fast consumed"),
      native: called("serve native response"),
      headers: Object.getOwnPropertyDescriptor(ofDeno, "headers")!.get!,
    };
    const isRight = [
      { response: new Response("a"), says: `[200,"",[],"${PLAIN_TEXT}","a"]` },
      { response: Response.json(1), says: '[200,"",[],"application/json","1"]' },
      {
        response: new Response("a", { headers: { "content-type": "text/plain" } }),
        says: '[200,"",[],"text/plain","a"]',
      },
      {
        response: new Response("a", { status: 404, headers: { "X-A": "b" } }),
        says: `[404,"",[["X-A","b"],["Content-Type","${PLAIN_TEXT}"]],null,"a"]`,
      },
      {
        response: new Response(null, { status: 201, statusText: "b", headers: { A: "" } }),
        says: '[201,"b",[["A",""]],null,null]',
      },
    ].every(({ response, says }) => {
      const whole = takeFrom(places, response);
      return whole !== null && innerOf(places, response).bodyDecoded === false &&
        response.bodyUsed === (whole.body !== null) &&
        JSON.stringify([whole.status, whole.reason, whole.fields, whole.type, whole.body]) === says;
    });
    return isRight ? places : null;
  } catch {
    return null;
  }
}

function takeFrom(places: Places, response: Response): WholeResponse | null {
  const kept = response as unknown as Kept;
  const text = kept[places.text];
  const inner = kept[places.inner] as Inner;
  const { status, statusMessage: reason } = inner;
  if (typeof text === "string") {
    kept[places.isTextRead] = true;
    const type = kept[places.type] as string | null ?? PLAIN_TEXT;
    return { status, reason, fields: NO_FIELDS, type, body: text };
  }
  let body: WholeResponse["body"] = null;
  if (inner.body !== null) {
    const source = inner.body.streamOrStatic;
    if (typeof source.body !== "string" && !(source.body instanceof Uint8Array)) return null;
    source.consumed = true;
    body = source.body;
  }
  const { fields, type } = keptFields(places, response);
  if (kept[places.native]) giveUpNative(places, response);
  return { status, reason, fields, type, body };
}

/**
 * Makes Deno give up what it has prepared for sending a response. It would be held until the garbage
 * collector finds the response unreachable and reports it, which is half the cost of a response with fields.
 */
function giveUpNative(places: Places, response: Response): void {
  if (!isDisguised(places, response)) Reflect.apply(places.headers, response, []);
}

/**
 * Whether what Deno has prepared belongs to another object: `response` is a Proxy of that, or inherits from
 * it. Asking for the fields makes Deno give it up, whatever the object is, but the collector would still
 * report it, and the memory would be freed twice.
 */
function isDisguised({ native }: Places, response: Response): boolean {
  const kept = Object.getOwnPropertyDescriptor(response, native);
  return kept?.writable !== true || isProxy === null || isProxy(response);
}

/** Whether the fields of `response` must not be asked for. */
export function isInDisguise(response: Response): boolean {
  const places = placesOfResponse();
  if (places === null || !(response as unknown as Kept)[places.native]) return false;
  return isDisguised(places, response);
}

function innerOf({ inner }: Places, response: Response): Inner {
  return (response as unknown as Kept)[inner] as Inner;
}

function keptFields(places: Places, response: Response): FieldsAndType {
  const { headerList, bodyDecoded } = innerOf(places, response);
  const type = (response as unknown as Kept)[places.type] as string | null;
  return { fields: fieldsOfBody(headerList, bodyDecoded), type };
}

/** `fields`, without those about its encoding if the body was decoded. */
function fieldsOfBody(fields: Fields, isDecoded: boolean): Fields {
  return isDecoded ? fields.filter(([name]) => !OF_ENCODING.has(name.toLowerCase())) : fields;
}

/** Takes all of `response`, which counts as read from now on; null if its body has to be waited for. */
export function takeWhole(response: Response): WholeResponse | null {
  const places = placesOfResponse();
  return places === null ? null : takeFrom(places, response);
}

/** The fields of a response whose body has to be waited for. */
export function fieldsOf(response: Response): FieldsAndType {
  const places = placesOfResponse();
  if (places !== null) return keptFields(places, response);
  // Only responses of `fetch()` have a URL.
  const { headers, url } = response;
  const isDecoded = url !== "" && DECODED.has(headers.get("content-encoding"));
  return { fields: fieldsOfBody([...headers], isDecoded), type: null };
}

/** Whether the body of `response` is a stream that something else produces. */
export function isStreamed(response: Response): boolean {
  const places = placesOfResponse();
  if (places === null) return response.body !== null;
  return innerOf(places, response).body?.streamOrStatic instanceof ReadableStream;
}

/** What prevents the body of `response` from being sent; null for nothing. */
function bodyProblemOf(response: Response): string | null {
  const places = placesOfResponse();
  if (places !== null) {
    const source = innerOf(places, response).body?.streamOrStatic;
    if (!(source instanceof ReadableStream)) return source?.consumed ? WAS_READ : null;
  }
  if (response.bodyUsed) return WAS_READ;
  return response.body?.locked ? "the body of the Response is locked to another reader" : null;
}
const WAS_READ = "the body of the Response was already read";

/**
 * Returns `value` if it is a `Response` that can be sent.
 *
 * @throws {TypeError} It is something else, or `Response.error()`, or its body was read or is being read.
 */
export function checkResponse(value: unknown): Response {
  const problem = problemOf(value);
  if (problem !== null) throw new TypeError(`Cannot send what the handler returned: ${problem}`);
  return value as Response;
}

/** What prevents `value` from being sent; null for nothing. */
export function problemOf(value: unknown): string | null {
  if (!isResponse(value)) {
    return `expected a Response, got ${value === null ? "null" : typeof value}`;
  }
  // A response made from a text is neither an error response nor a 101.
  const places = placesOfResponse();
  const kept = value as unknown as Kept;
  if (places !== null && typeof kept[places.text] === "string") {
    return kept[places.isTextRead] ? WAS_READ : null;
  }
  if (value.type === "error") return "it is an error response, such as Response.error()";
  // No public constructor creates a 101.
  if (value.status === 101) {
    return "it comes from Deno.upgradeWebSocket(), which only works with Deno.serve; " +
      "use upgradeWebSocket() of @tiny/listener/websocket in a handler of an HTTPListener";
  }
  return bodyProblemOf(value);
}

/**
 * Whether `value` is a web `Response`. Deno's own responses count even if a program has replaced the global
 * class: `fetch()`, `clone()` and `Response.json()` know nothing of the replacement.
 */
export function isResponse(value: unknown): value is Response {
  if (typeof value !== "object" || value === null) return false;
  if (value instanceof (ResponseClass ??= Response)) return true;
  const places = placesOfResponse();
  return places !== null && places.inner in value;
}
/** Kept here because Deno has it behind a getter, which would be called each time. */
let ResponseClass: typeof Response | undefined;
