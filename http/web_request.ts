// The web Request of an exchange: what a handler asks of it is made when it asks.
//
// Making a `Request` takes several times as long as all the rest of a small exchange (Headers, URL, and an
// AbortSignal that follows another), and most handlers look at its URL and method alone. So what they get
// is an object that is a `Request` to `instanceof`, answers for URL and method by itself, and makes the
// real one for everything else.

/** The real request of a lazy one. */
let real: (request: LazyRequest) => Request;

/** A request that is made when more than its method and URL is asked for. */
class LazyRequest {
  readonly #method: string;
  readonly #url: string;
  readonly #make: () => Request;
  #request: Request | null = null;

  static {
    real = (request) => request.#request ??= request.#make();
  }

  constructor(method: string, url: string, make: () => Request) {
    this.#method = method;
    this.#url = url;
    this.#make = make;
  }

  get method(): string {
    return this.#method;
  }

  get url(): string {
    return this.#url;
  }
}

function delegate(of: object): void {
  for (const key of Reflect.ownKeys(of)) {
    if (key === "method" || key === "url") continue;
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
    const make = (): Request => new Request(url, { method: "POST", headers: { a: "b" } });
    const lazy = new LazyRequest("POST", url, make) as unknown as Request;
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
 * A web request that `make` makes, late where that works.
 *
 * @param method As the real request has it: upper case where `Request` normalizes it.
 * @param url As the real request has it: normalized.
 */
export function webRequest(method: string, url: string, make: () => Request): Request {
  isTaken ??= prepare();
  return isTaken ? new LazyRequest(method, url, make) as unknown as Request : make();
}
