// What the engine makes of a few hundred messages, as one line of JSON. runtimes_test.ts runs it in
// other runtimes too: it has to be the same there.

import * as h11 from "../../h11.ts";
import { mutated, request, response } from "./generate.ts";
import { client, converse, END, latin1, receive, server, text } from "./log.ts";
import { Random } from "./random.ts";

/** What comes of messages, valid and not, in both roles, and of sending. */
export function smoke(): string[] {
  const made: string[] = [];
  const random = new Random(1);
  for (let i = 0; i < 300; i++) {
    const change = (message: string): string => i % 3 === 0 ? message : mutated(random, message);
    made.push(
      ...converse(server(), [latin1(change(request(random) + request(random))), END]).lines,
    );
    made.push(...receive(client(), [latin1(change(response(random, "GET"))), END]).lines);
  }
  const conn = new h11.Connection(h11.CLIENT);
  const headers = { Host: "a", "X-Latin": "\xe9\xff".repeat(100), "Transfer-Encoding": "chunked" };
  for (
    const event of [
      new h11.Request({ method: "POST", target: "/" + "a".repeat(5000), headers }),
      new h11.Data({ data: latin1("hello") }),
      new h11.EndOfMessage({ headers: { "X-Sum": "1" } }),
    ]
  ) made.push(text(conn.send(event)!));
  return made;
}
