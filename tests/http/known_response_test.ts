import { assertEquals } from "@std/assert";
import { Response } from "../../h11.ts";
import { keepResponse, knownResponse, plainResponse } from "../../http/known_response.ts";

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

Deno.test("plainResponse() has the date of each second", () => {
  const dateAt = (time: number): string | null =>
    at(time, (now) => plainResponse(200, "a/b", now).headers.get("date"));
  assertEquals(dateAt(1_000), "Thu, 01 Jan 1970 00:00:01 GMT");
  assertEquals(dateAt(1_900), "Thu, 01 Jan 1970 00:00:01 GMT");
  assertEquals(dateAt(2_000), "Thu, 01 Jan 1970 00:00:02 GMT");
});

Deno.test("knownResponse() knows one that was kept as long as its date is right", () => {
  const fields: [string, string][] = [["X-A", "1"], ["X-B", "2"]];
  const response = new Response({ statusCode: 200, headers: fields });
  const knownAt = (time: number): Response | null =>
    at(time, (now) => knownResponse(200, fields, null, now));
  assertEquals(knownAt(3_000), null);
  at(3_100, (now) => keepResponse(response, fields, null, now));
  assertEquals(knownAt(3_900), response);
  assertEquals(knownAt(4_000), null);
});

Deno.test("knownResponse() does not know one whose fields were changed after it was kept", () => {
  const fields: [string, string][] = [["X-A", "1"], ["X-B", "2"]];
  at(5_000, (now) => {
    keepResponse(new Response({ statusCode: 200, headers: fields }), fields, null, now);
    fields[1][1] = "3";
    assertEquals(knownResponse(200, fields, null, now), null);
  });
});

Deno.test("knownResponse() does not take a field with too many values for two fields", () => {
  const tooLong = [["X-A", "1", "X-BB", "22"]] as unknown as [string, string][];
  at(6_000, (now) => {
    for (let statusCode = 200; statusCode < 600; statusCode++) {
      const response = new Response({ statusCode, headers: [["X-A", "1"]] });
      keepResponse(response, tooLong, null, now);
      assertEquals(knownResponse(statusCode, tooLong, null, now), response);
      assertEquals(knownResponse(statusCode, [["X-A", "1"], ["X-BB", "22"]], null, now), null);
    }
  });
});
