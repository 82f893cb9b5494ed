// A wait for some time that something may cut short.

/** One wait at a time, which can be ended early. */
export class Pause {
  #end = (): void => {};

  /** Resolves after `milliseconds`, or when `end()` is called. */
  wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends the wait under way, if there is one. */
  end(): void {
    this.#end();
  }
}
