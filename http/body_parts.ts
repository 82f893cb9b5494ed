// The parts of a response's body, as its producer gives them.

import { Chunks } from "./response_body.ts";
import { beginTurn } from "./turn.ts";

/** A part, text or bytes. */
export type Part = Uint8Array | string;

/**
 * Turns of the microtasks in which a producer gives a part that it has at hand: an async generator takes 3, a
 * `ReadableStream` 2, one behind two transformers up to 9.
 */
const TURNS_AT_HAND = 10;

/** Takes the parts of one body, one after the other. */
export class BodyParts {
  readonly #producer: AsyncIterator<Part>;
  /** The part that was asked for. */
  #part: IteratorResult<Part> | null = null;
  #isSettled = false;
  #hasFailed = false;
  /** Nothing more is taken of its producer. */
  #isCut = false;
  #error: unknown = undefined;
  /** Who waits for it is told here that it has come. */
  #came: () => void = ignore;

  constructor(body: ReadableStream<Part> | AsyncIterable<Part>) {
    this.#producer = body instanceof ReadableStream
      ? new Chunks(body.getReader())
      : body[Symbol.asyncIterator]();
  }

  /**
   * Asks for the next part.
   *
   * @returns Whether the producer has it at hand: it need not wait for anything outside.
   */
  async ask(): Promise<boolean> {
    this.#isSettled = this.#hasFailed || this.#isCut;
    if (this.#isSettled) return true;
    beginTurn();
    try {
      Promise.resolve(this.#producer.next()).then(this.#gave, this.#failed);
    } catch (error) {
      this.#failed(error);
    }
    for (let turn = 0; !this.#isSettled && turn < TURNS_AT_HAND; turn++) await null;
    return this.#isSettled;
  }

  readonly #gave = (part: IteratorResult<Part>): void => {
    if (this.#isCut) return;
    this.#part = part;
    this.#isSettled = true;
    this.#came();
  };

  readonly #failed = (error: unknown): void => {
    if (this.#hasFailed || this.#isCut) return;
    this.#error = error;
    this.#isSettled = this.#hasFailed = true;
    this.#came();
  };

  /**
   * The part that was asked for; null at the end. It rejects with what the producer failed with, and where it gave
   * what is no part.
   */
  async take(): Promise<Part | null> {
    if (!this.#isSettled) await new Promise<void>((resolve) => this.#came = resolve);
    if (this.#hasFailed) throw this.#error;
    // It was cut before the part came.
    if (this.#part === null) return null;
    const { done, value } = this.#part;
    this.#part = null;
    if (done) return null;
    if (typeof value === "string" || value instanceof Uint8Array) return value;
    const type = value === null ? "null" : typeof value;
    throw new TypeError(`Cannot send a part of type ${type}: must be a string or a Uint8Array`);
  }

  /** Nobody waits for the producer any more; who does gets `error`. */
  abandon(error: unknown): void {
    this.#failed(error);
  }

  /** The body ends here: what its producer gives after that is left out. @param reason As of `cancel`. */
  cut(reason: unknown): void {
    if (this.#hasFailed || this.#isCut) return;
    this.#isCut = this.#isSettled = true;
    this.#came();
    this.cancel(reason);
  }

  /**
   * Tells the producer that it is given up. One that hangs takes notice when it goes on.
   *
   * @param reason What the source of a stream is told, and who writes to that gets as an error.
   */
  cancel(reason: unknown): void {
    // TypeScript has it return a promise, and JavaScript whatever.
    Promise.try(() => this.#producer.return?.(reason)).catch(ignore);
  }
}

function ignore(): void {}
