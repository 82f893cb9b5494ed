// Rejections that nobody handles, which would end the process.

/** Notes those of the scope that uses it, and keeps the process alive. */
export class Unhandled implements Disposable {
  /** What was rejected with. */
  readonly reasons: unknown[] = [];
  readonly #note = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    this.reasons.push(event.reason);
  };

  constructor() {
    addEventListener("unhandledrejection", this.#note);
  }

  [Symbol.dispose](): void {
    removeEventListener("unhandledrejection", this.#note);
  }
}
