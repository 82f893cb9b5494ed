// The parts of a response body as its producer yields them.

import { Chunks } from "./response_body.ts";
import { beginTurn } from "./turn.ts";

/** A part of a body: text or bytes. */
export type Part = Uint8Array | string;

/**
 * Microtask turns within which a producer yields a part that it has at hand: an async generator takes 3, a
 * `ReadableStream` 2, and a stream behind two transformers up to 9.
 */
const TURNS_AT_HAND = 10;

/** Takes the parts of one body, one after another. */
export class BodyParts {
  readonly #producer: AsyncIterator<Part>;
  /** The part that was asked for. */
  #part: IteratorResult<Part> | null = null;
  /** Nothing more is taken from the producer: it has failed, or the body was cut. */
  #isOver = false;
  #failure: { error: unknown } | null = null;
  /** Notifies whoever waits for the part that it has arrived. */
  #came: () => void = ignore;

  constructor(body: ReadableStream<Part> | AsyncIterable<Part>) {
    this.#producer = body instanceof ReadableStream
      ? new Chunks(body.getReader())
      : body[Symbol.asyncIterator]();
  }

  /**
   * Asks for the next part.
   *
   * @returns Whether the producer has it at hand, without waiting for anything external.
   */
  async ask(): Promise<boolean> {
    if (this.#isOver) return true;
    beginTurn();
    try {
      Promise.resolve(this.#producer.next()).then(this.#gave, this.#failed);
    } catch (error) {
      this.#failed(error);
    }
    for (let turn = 0; !this.#isSettled && turn < TURNS_AT_HAND; turn++) await null;
    return this.#isSettled;
  }

  get #isSettled(): boolean {
    return this.#part !== null || this.#isOver;
  }

  readonly #gave = (part: IteratorResult<Part>): void => {
    if (this.#isOver) return;
    this.#part = part;
    this.#came();
  };

  readonly #failed = (error: unknown): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = { error };
    this.#came();
  };

  /**
   * The part that was asked for; null at the end. Rejects with the producer's error, or with a TypeError if
   * the producer yielded something that is not a part.
   */
  async take(): Promise<Part | null> {
    if (!this.#isSettled) await new Promise<void>((resolve) => this.#came = resolve);
    if (this.#failure !== null) throw this.#failure.error;
    // The body was cut before the part arrived.
    if (this.#part === null) return null;
    const { done, value } = this.#part;
    this.#part = null;
    if (done) return null;
    if (typeof value === "string" || value instanceof Uint8Array) return value;
    const type = value === null ? "null" : typeof value;
    throw new TypeError(`Cannot send a part of type ${type}: must be a string or a Uint8Array`);
  }

  /** Stops waiting for the producer; whoever waits gets `error`. */
  abandon(error: unknown): void {
    this.#failed(error);
  }

  /** Ends the body here: what the producer yields later is dropped. @param reason As for `cancel()`. */
  cut(reason: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#came();
    this.cancel(reason);
  }

  /**
   * Tells the producer that its body is not wanted any more. A producer that hangs learns of it when it
   * continues.
   *
   * @param reason Passed to the source of a stream, and as the error to whoever writes to that stream.
   */
  cancel(reason: unknown): void {
    // TypeScript requires `return()` to return a promise; JavaScript does not.
    Promise.try(() => this.#producer.return?.(reason)).catch(ignore);
  }
}

function ignore(): void {}
