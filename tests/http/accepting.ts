// The connections that a server accepts, where a test has a say in them before the server has them.

/** Has each connection that a server accepts, which begins to listen in this scope, go through `change`. */
export class Accepting implements Disposable {
  readonly #original = Deno.listen;

  /** @param change Is given the connection and how many came before it; the server waits for its end. */
  constructor(change: (conn: Deno.Conn, before: number) => void | Promise<void>) {
    const listen = this.#original as (options: Deno.ListenOptions) => Deno.Listener;
    Deno.listen = ((options: Deno.ListenOptions) => {
      const listener = listen(options);
      const accept = listener.accept.bind(listener);
      let before = 0;
      listener.accept = async () => {
        const conn = await accept();
        await change(conn, before++);
        return conn;
      };
      return listener;
    }) as typeof Deno.listen;
  }

  [Symbol.dispose](): void {
    Deno.listen = this.#original;
  }
}
