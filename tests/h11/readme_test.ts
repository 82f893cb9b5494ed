// The server that h11/README.md begins with, asked what a client may ask any server.

import { assertEquals } from "@std/assert";
import { type Needs, test } from "../needs.ts";
import { latin1, text } from "./log.ts";

const NEEDS: Needs = { permissions: ["net", "read"] };

const CLOSE = "Host: a\r\nConnection: close\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n" + CLOSE;
const CONTINUE = "HTTP/1.1 100 \r\n\r\n";

/** The status, the length and, where there is one, the body of an answer that is the last. */
function last(status: number, length: number, body = ""): string {
  return `HTTP/1.1 ${status} \r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\n` +
    `Connection: close\r\n\r\n${body}`;
}

const EXCHANGES: [what: string, sent: string[], received: string[]][] = [
  ["GET", ["GET /b HTTP/1.1\r\n" + CLOSE], [last(200, 16, "You asked for /b")]],
  ["HEAD", ["HEAD /b HTTP/1.1\r\n" + CLOSE], [last(200, 16)]],
  ["CONNECT", ["CONNECT a:1 HTTP/1.1\r\n" + CLOSE], [last(501, 21, "No tunnel begins here")]],
  ["a client that waits for 100", [POST, "hi"], [CONTINUE, last(200, 15, "You asked for /")]],
  ["a HEAD without Host", ["HEAD / HTTP/1.1\r\n\r\n"], [last(400, 0)]],
];
for (const [what, sent, received] of EXCHANGES) {
  test(`h11/README.md's server answers ${what}`, NEEDS, async () => {
    const serve = await readServe();
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const served = listener.accept().then(serve);
    using tcp = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    for (const [i, message] of sent.entries()) {
      await tcp.write(latin1(message));
      assertEquals(await readAnswer(tcp, i === sent.length - 1), received[i]);
    }
    await served;
  });
}

/** What comes up to the end of a head, or of all. */
async function readAnswer(tcp: Deno.Conn, toTheEnd: boolean): Promise<string> {
  const area = new Uint8Array(1024);
  let answer = "";
  while (toTheEnd || !answer.endsWith("\r\n\r\n")) {
    const length = await tcp.read(area);
    if (length === null) break;
    answer += text(area.subarray(0, length));
  }
  return answer;
}

/** The function `serve` as the page has it. */
async function readServe(): Promise<(tcp: Deno.Conn) => Promise<void>> {
  const page = await Deno.readTextFile(new URL("../../h11/README.md", import.meta.url));
  const [serve] = /^async function serve[^]*?^}$/m.exec(page)!;
  const module = `import * as h11 from "${new URL(
    "../../h11.ts",
    import.meta.url,
  )}"; export ${serve}`;
  return (await import(`data:application/typescript,${encodeURIComponent(module)}`)).serve;
}
