// The web Request of an exchange: what a handler asks of it is made when it asks.
//
// Making a `Request` takes several times as long as all the rest of a small exchange (Headers, URL, and an
// AbortSignal that follows another), and most handlers look at its URL, method, fields and a small body alone.
// So what they get is an object that is a `Request` to `instanceof`, answers for those by itself, and makes
// the real one for everything else.

import { handled } from "./exchange.ts";
import { readTwice } from "./request_body.ts";

/** What a web request is made from. */
export interface RequestSource {
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

/** The real request of a lazy one. */
let real: (request: LazyRequest) => Request;

const decoder = new TextDecoder();

/** A request that is made when more is asked of it than small exchanges ask. */
class LazyRequest {
  readonly #method: string;
  readonly #url: string;
  readonly #source: RequestSource;
  #headers: Headers | null = null;
  #isRead = false;
  #request: Request | null = null;

  static {
    real = (request) =>
      request.#request ??= request.#source.make(
        request.#headers ?? request.#source.fields(),
        request.#isRead,
      );
  }

  constructor(method: string, url: string, source: RequestSource) {
    this.#method = method;
    this.#url = url;
    this.#source = source;
  }

  get method(): string {
    return this.#method;
  }

  get url(): string {
    return this.#url;
  }

  get headers(): Headers {
    if (this.#headers === null && this.#request !== null) return this.#request.headers;
    return this.#headers ??= new Headers(this.#source.fields());
  }

  get bodyUsed(): boolean {
    return this.#isRead || real(this).bodyUsed;
  }

  bytes(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#read((whole) => whole.slice());
  }

  arrayBuffer(): Promise<ArrayBuffer> {
    return this.#read((whole) => whole.slice().buffer);
  }

  text(): Promise<string> {
    return this.#read((whole) => decoder.decode(whole));
  }

  json(): Promise<unknown> {
    return this.#read((whole) => JSON.parse(decoder.decode(whole)));
  }

  blob(): Promise<Blob> {
    return this.#read((whole) => new Response(whole.slice(), this.#typed).blob());
  }

  formData(): Promise<FormData> {
    return this.#read((whole) => new Response(whole.slice(), this.#typed).formData());
  }

  /** What a body needs to be read as what it is. */
  get #typed(): ResponseInit {
    const type = this.headers.get("content-type");
    return type === null ? {} : { headers: { "Content-Type": type } };
  }

  /** What `convert` makes of the body; it is done with the bytes when it returns. */
  #read<T>(convert: (whole: Uint8Array<ArrayBuffer>) => T | Promise<T>): Promise<T> {
    try {
      if (!this.#source.hasBody) return handled(Promise.resolve(convert(NO_BYTES)));
      const request = this.#request;
      if (this.#isRead || request?.bodyUsed) throw readTwice();
      const whole = request === null ? this.#source.takeBody() : null;
      const reading = whole === null ? this.#source.readBody(request?.body ?? null) : null;
      this.#isRead = true;
      return handled(reading?.then(convert) ?? Promise.resolve(convert(whole!)));
    } catch (error) {
      return handled(Promise.reject(error));
    }
  }
}

const NO_BYTES = new Uint8Array(0);

function delegate(of: object): void {
  for (const key of Reflect.ownKeys(of)) {
    if (key !== "constructor" && Object.hasOwn(LazyRequest.prototype, key)) continue;
    const { value } = Object.getOwnPropertyDescriptor(of, key)!;
    const isMethod = key !== "constructor" && typeof value === "function";
    Object.defineProperty(LazyRequest.prototype, key, {
      configurable: true,
      ...isMethod
        ? {
          value(this: LazyRequest, ...args: unknown[]): unknown {
            return Reflect.apply(value, real(this), args);
          },
        }
        : {
          get(this: LazyRequest): unknown {
            return Reflect.get(real(this), key);
          },
          set(this: LazyRequest, to: unknown): void {
            Reflect.set(real(this), key, to);
          },
        },
    });
  }
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
    const lazy = new LazyRequest("POST", url, {
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

/**
 * The web request of `source`, made late where that works.
 *
 * @param method As the real request has it: upper case where `Request` normalizes it.
 * @param url As the real request has it: normalized.
 */
export function webRequest(method: string, url: string, source: RequestSource): Request {
  isTaken ??= prepare();
  return isTaken
    ? new LazyRequest(method, url, source) as unknown as Request
    : source.make(source.fields(), false);
}
