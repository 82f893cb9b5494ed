// Whether a server answers a case as it should: a wrong answer is not worth timing.

import { assertEquals } from "@std/assert";
import * as h11 from "../h11.ts";
import { type Case, requestOf } from "./cases.ts";

/** Sends what wrk will send, and looks at each answer. */
export async function checkAnswer(it: Case, port: number, cert?: string): Promise<void> {
  using conn = it.isTls
    ? await Deno.connectTls({ hostname: "localhost", port, caCerts: [cert!] })
    : await Deno.connect({ hostname: "127.0.0.1", port });
  await checkAnswerOver(conn, it, `127.0.0.1:${port}`);
}

/** As `checkAnswer`, over a connection that is there. */
export async function checkAnswerOver(conn: Deno.Conn, it: Case, host: string): Promise<void> {
  const [count] = await Promise.all([
    readAnswers(it, conn),
    writeAll(conn, new TextEncoder().encode(requestOf(it, host))),
  ]);
  assertEquals(count, it.pipelined ?? 1);
}

async function readAnswers(it: Case, conn: Deno.Conn): Promise<number> {
  const [method] = it.head[0].split(" ");
  const count = it.pipelined ?? 1;
  let early: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < count; i++) {
    // To one client of h11 what comes after an answer answers nothing: it does not pipeline.
    const client = new h11.Connection(h11.CLIENT);
    client.send(new h11.Request({ method, target: it.path, headers: { Host: "a" } }));
    client.send(new h11.EndOfMessage());
    if (early.length > 0) client.receiveData(early);
    const { response, body } = await readAnswer(client, conn);
    const { statusCode, headers } = response;
    const framing = it.isStreamed ? [null, "chunked"] : [`${it.answer.length}`, null];
    assertEquals(
      [statusCode, headers.get("content-length"), headers.get("transfer-encoding")],
      [200, ...framing],
    );
    assertEquals(body.length, it.answer.length);
    assertEquals(
      body === it.answer,
      true,
      `The body of the answer is wrong: ${body.slice(0, 200)}`,
    );
    early = client.trailingData[0];
  }
  return count;
}

async function readAnswer(
  client: h11.Connection,
  conn: Deno.Conn,
): Promise<{ response: h11.Response; body: string }> {
  const buffer = new Uint8Array(64 * 1024);
  const decoder = new TextDecoder();
  let response: h11.Response | undefined;
  let body = "";
  for (;;) {
    const event = client.nextEvent();
    if (event === h11.NEED_DATA) {
      const count = await conn.read(buffer);
      client.receiveData(buffer.slice(0, count ?? 0));
    } else if (event === h11.PAUSED || event.type === "ConnectionClosed") {
      throw new Error("Cannot read the answer: the server closed the connection");
    } else if (event.type === "Response") response = event;
    else if (event.type === "Data") body += decoder.decode(event.data, { stream: true });
    else if (event.type === "EndOfMessage") return { response: response!, body };
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}
