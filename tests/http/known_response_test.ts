import { assertEquals } from "@std/assert";
import { Response } from "../../h11.ts";
import { keepResponse, knownResponse } from "../../http/known_response.ts";

/** What `run` returns at `time`, which is a clock's and the system's. */
function at<T>(time: number, run: (time: number) => T): T {
  const { now } = Date;
  Date.now = () => time;
  try {
    return run(time);
  } finally {
    Date.now = now;
  }
}

Deno.test("knownResponse() makes one that says no more than its type with the date of each second", () => {
  const dateAt = (time: number): string | null | undefined =>
    at(
      time,
      (now) => knownResponse(200, { "Content-Type": "a/b" }, null, now)?.headers.get("date"),
    );
  assertEquals(dateAt(1_000), "Thu, 01 Jan 1970 00:00:01 GMT");
  assertEquals(dateAt(1_900), "Thu, 01 Jan 1970 00:00:01 GMT");
  assertEquals(dateAt(2_000), "Thu, 01 Jan 1970 00:00:02 GMT");
});

Deno.test("knownResponse() knows one that was kept as long as its date is right", () => {
  const headers = { "X-A": "1", "X-B": "2" };
  const response = new Response({ statusCode: 200, headers });
  const knownAt = (time: number): Response | null =>
    at(time, (now) => knownResponse(200, headers, null, now));
  assertEquals(knownAt(3_000), null);
  at(3_100, (now) => keepResponse(response, null, now));
  assertEquals(knownAt(3_900), response);
  assertEquals(knownAt(4_000), null);
});
