// The web Request of an exchange: what a handler asks of it is made when it asks.
//
// Making a `Request` takes several times as long as all the rest of a small exchange (Headers, URL, and an
// AbortSignal that follows another), and most handlers look at its URL, method, fields and a small body alone.
// So what they get is an object that is a `Request` to `instanceof`, answers for those by itself, and makes
// the real one for everything else.

import { handled } from "./exchange.ts";
import { readTwice } from "./request_body.ts";

/** What a web request is made from, and what has become of it. */
export interface RequestSource {
  /** As the real request has it: upper case where `Request` normalizes it. */
  readonly method: string;
  /** As the real request has it: normalized. */
  readonly url: string;
  /** Its `Headers`, once somebody has asked for them. */
  headers: Headers | null;
  /** Its body was read, without the real request. */
  isRead: boolean;
  /** The real request, once there is one. */
  request: Request | null;
  /** The fields, as `Headers` takes them. */
  fields(): [name: string, value: string][];
  /** Whether there is a body: a `Request` with GET or HEAD has none. */
  readonly hasBody: boolean;
  /**
   * All of the body, where it has come already; bytes that stay until the caller returns. Null where it has
   * to be waited for.
   *
   * @throws {HTTPError} 413: it is over the limit of what is read at once.
   */
  takeBody(): Uint8Array<ArrayBuffer> | null;
  /**
   * All of the body, from `stream`, which is it or a copy of it, where that is not null. It rejects as `takeBody`
   * throws.
   *
   * @throws {TypeError} It is locked, or was read.
   */
  readBody(stream: ReadableStream<Uint8Array> | null): Promise<Uint8Array<ArrayBuffer>>;
  /** Makes the real request; `isRead` tells that `takeBody` has taken its body. */
  make(headers: HeadersInit, isRead: boolean): Request;
}

const decoder = new TextDecoder();
const NO_BYTES = new Uint8Array(0);

/**
 * Where a lazy request has its source: under a symbol, as Deno has what is its own. A Proxy of a request, and an
 * object that inherits from one, come to it, as they do not to private fields.
 */
const SOURCE = Symbol("source");

/** A request that is made when more is asked of it than small exchanges ask. */
class LazyRequest {
  readonly [SOURCE]: RequestSource;

  constructor(source: RequestSource) {
    this[SOURCE] = source;
  }

  get method(): string {
    return this[SOURCE].method;
  }

  get url(): string {
    return this[SOURCE].url;
  }

  get headers(): Headers {
    const source = this[SOURCE];
    if (source.headers === null && source.request !== null) return source.request.headers;
    return source.headers ??= new Headers(source.fields());
  }

  get bodyUsed(): boolean {
    return this[SOURCE].isRead || real(this).bodyUsed;
  }

  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return read(this, (whole) => whole.slice());
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return read(this, (whole) => whole.slice().buffer);
  }

  text(): Promise<string> {
    return read(this, (whole) => decoder.decode(whole));
  }

  json(): Promise<unknown> {
    return read(this, (whole) => JSON.parse(decoder.decode(whole)));
  }

  blob(): Promise<Blob> {
    return read(this, (whole) => new Response(whole.slice(), typed(this)).blob());
  }

  formData(): Promise<FormData> {
    return read(this, (whole) => new Response(whole.slice(), typed(this)).formData());
  }
}

/** The real request of a lazy one. */
function real({ [SOURCE]: source }: LazyRequest): Request {
  return source.request ??= source.make(source.headers ?? source.fields(), source.isRead);
}

/** The real request, for what reads its fields: those that were given are not its own, and can be changed. */
function realWithFields(lazy: LazyRequest): Request {
  const { headers: given, request } = lazy[SOURCE];
  if (given === null || request === null) return real(lazy);
  const { headers } = request;
  for (const name of [...headers.keys()]) headers.delete(name);
  for (const [name, value] of given) headers.append(name, value);
  return request;
}

/** What `convert` makes of the body; it is done with the bytes when it returns. */
function read<T>(
  { [SOURCE]: source }: LazyRequest,
  convert: (whole: Uint8Array<ArrayBuffer>) => T | Promise<T>,
): Promise<T> {
  try {
    if (!source.hasBody) return handled(Promise.resolve(convert(NO_BYTES)));
    const { request } = source;
    if (source.isRead || request?.bodyUsed) throw readTwice();
    const whole = request === null ? source.takeBody() : null;
    const reading = whole === null ? source.readBody(request?.body ?? null) : null;
    source.isRead = true;
    return handled(reading?.then(convert) ?? Promise.resolve(convert(whole!)));
  } catch (error) {
    return handled(Promise.reject(error));
  }
}

/** What a body needs to be read as what it is. */
function typed({ headers }: LazyRequest): ResponseInit {
  const type = headers.get("content-type");
  return type === null ? {} : { headers: { "Content-Type": type } };
}

function delegate(of: object): void {
  for (const key of Reflect.ownKeys(of)) {
    const descriptor = Object.getOwnPropertyDescriptor(of, key)!;
    Object.defineProperty(LazyRequest.prototype, key, {
      configurable: true,
      enumerable: descriptor.enumerable === true,
      ...delegated(key, descriptor),
    });
  }
}

/** How a lazy request has a property of the real one: nothing is changed of what it has itself. */
function delegated(key: PropertyKey, { value, get, set }: PropertyDescriptor): PropertyDescriptor {
  if (key === "constructor") return { value };
  if (Object.hasOwn(LazyRequest.prototype, key)) return {};
  if (typeof value === "function") {
    return {
      value(this: LazyRequest, ...args: unknown[]): unknown {
        return Reflect.apply(value, realWithFields(this), args);
      },
    };
  }
  // Under symbols Deno has what copies are made of.
  const realOf = typeof key === "symbol" ? realWithFields : real;
  const readOnly = {
    get(this: LazyRequest): unknown {
      return Reflect.get(realOf(this), key);
    },
  };
  if (get !== undefined && set === undefined) return readOnly;
  return {
    ...readOnly,
    set(this: LazyRequest, to: unknown): void {
      Reflect.set(real(this), key, to);
    },
  };
}

/**
 * Has everything else go to the real request: what its class has, and what an instance has of its own, where
 * Deno keeps the state that `fetch(request)` and `new Request(request)` read.
 *
 * @returns Whether Deno takes such an object for a `Request`: nothing promises that it does.
 */
function prepare(): boolean {
  try {
    delegate(Request.prototype);
    delegate(new Request("http://localhost/"));
    Object.setPrototypeOf(LazyRequest.prototype, Request.prototype);
    const url = "http://localhost/a";
    const lazy = new LazyRequest({
      method: "POST",
      url,
      headers: null,
      isRead: false,
      request: null,
      fields: () => [["a", "b"]],
      hasBody: false,
      takeBody: () => null,
      readBody: () => Promise.resolve(NO_BYTES),
      make: (headers) => new Request(url, { method: "POST", headers }),
    }) as unknown as Request;
    const copy = new Request(lazy);
    return lazy instanceof Request && copy.method === "POST" && copy.url === url &&
      copy.headers.get("a") === "b" && lazy.clone().headers.get("a") === "b";
  } catch {
    return false;
  }
}
/** Found out for the first request: a server that makes none loads nothing of fetch for it. */
let isTaken: boolean | null = null;

/** The web request of `source`, made late where that works. */
export function webRequest(source: RequestSource): Request {
  isTaken ??= prepare();
  return isTaken
    ? new LazyRequest(source) as unknown as Request
    : source.make(source.fields(), false);
}
