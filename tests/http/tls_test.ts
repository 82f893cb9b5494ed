import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { type HTTPListener, ListenError } from "../../http_context.ts";
import { type Needs, test } from "../needs.ts";
import { Program } from "../program.ts";
import { latin1, RawClient } from "./raw_client.ts";
import { serving } from "./serving.ts";

const OPENSSL = "/usr/bin/openssl";
const TLS: Needs = { permissions: ["net", "read", "write", "run"], programs: [OPENSSL] };
const GET = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
const WELCOME = /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nWelcome!$/s;

function routes(app: HTTPListener): void {
  app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
  app.onEvent("GET:/url", ({ ctx }) => ctx.response(200, ctx.request.url));
}

/** A folder for the files of a test. */
class Folder implements AsyncDisposable {
  readonly path: string = Deno.makeTempDirSync();

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

/** Makes a certificate for localhost that nobody has signed, and its key. */
async function makeCertificate(folder: Folder): Promise<{ cert: string; key: string }> {
  const files = { cert: `${folder.path}/cert.pem`, key: `${folder.path}/key.pem` };
  const { success, stderr } = await new Deno.Command(OPENSSL, {
    args: [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
      ...["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
      // What it would be otherwise, a CA's own certificate, is not taken for a server's.
      ...[
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-keyout",
        files.key,
        "-out",
        files.cert,
      ],
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return files;
}

/** The same, as the options of a server. */
async function certificate(): Promise<{ cert: string; key: string }> {
  await using folder = new Folder();
  const files = await makeCertificate(folder);
  return { cert: await Deno.readTextFile(files.cert), key: await Deno.readTextFile(files.key) };
}

/** Sends a request over TLS. @returns The answer, and the protocol that ALPN agreed on. */
async function askTls(
  port: number,
  cert: string,
  { request = GET, protocols = ["http/1.1"] } = {},
): Promise<{ answer: string; protocol: string | null }> {
  const conn = await Deno.connectTls({
    hostname: "localhost",
    port,
    caCerts: [cert],
    alpnProtocols: protocols,
  });
  const { alpnProtocol } = await conn.handshake();
  const bytes = latin1(request);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  return { answer: await new Response(conn.readable).text(), protocol: alpnProtocol };
}

test("HTTPListener speaks TLS with cert and key, and HTTP/1.1 by ALPN", TLS, async () => {
  const { cert, key } = await certificate();
  await using app = await serving(routes, { cert, key });
  for (const protocols of [["http/1.1"], ["h2", "http/1.1"]]) {
    const { answer, protocol } = await askTls(app.addr.port, cert, { protocols });
    assertMatch(answer, WELCOME);
    assertEquals(protocol, "http/1.1");
  }
});

test("HTTPListener accepts a client that offers only HTTP/1.0 by ALPN", TLS, async () => {
  const { cert, key } = await certificate();
  await using app = await serving(routes, { cert, key });
  const { answer, protocol } = await askTls(app.addr.port, cert, {
    request: "GET / HTTP/1.0\r\n\r\n",
    protocols: ["http/1.0"],
  });
  assertMatch(answer, WELCOME);
  assertEquals(protocol, "http/1.0");
  const both = await askTls(app.addr.port, cert, { protocols: ["http/1.0", "http/1.1"] });
  assertEquals(both.protocol, "http/1.1");
});

test("HTTPListener.start() says what is wrong with a certificate or its key", TLS, async () => {
  await using folder = new Folder();
  const { cert, key } = await certificate();
  const other = await certificate();
  const [plain, encrypted] = [`${folder.path}/plain.pem`, `${folder.path}/encrypted.pem`];
  await Deno.writeTextFile(plain, key);
  await new Deno.Command(OPENSSL, {
    args: ["pkcs8", "-topk8", "-in", plain, "-out", encrypted, "-passout", "pass:secret"],
  }).output();
  const notIts =
    "the key does not match the certificate; cert must begin with the server's own certificate";
  const wrong: [options: { cert: string; key: string }, reason: string][] = [
    [{ cert, key: other.key }, notIts],
    [{ cert: other.cert + cert, key }, notIts],
    [
      { cert, key: await Deno.readTextFile(encrypted) },
      "the key is encrypted; decrypt it, for example with openssl pkey",
    ],
    [
      { cert: "cert.pem", key },
      "the certificate or its key is invalid: No certificates found in certificate data; " +
      "give the text of the PEM files, not their paths",
    ],
    [
      { cert, key: "key.pem" },
      "the certificate or its key is invalid: No keys found in key data; " +
      "give the text of the PEM files, not their paths",
    ],
  ];
  for (const [options, reason] of wrong) {
    const { message } = await assertRejects(() => serving(routes, options), ListenError);
    assertEquals(message.split(": ").slice(1).join(": "), reason);
  }
});

test("HTTPContext.request has https in its URL where the server speaks TLS", TLS, async () => {
  const { cert, key } = await certificate();
  await using app = await serving(routes, { cert, key });
  const request = GET.replace("/", "/url");
  assertMatch((await askTls(app.addr.port, cert, { request })).answer, /\r\n\r\nhttps:\/\/a\/url$/);
});

test("HTTPListener lets a client read a refusal over TLS", TLS, async () => {
  const { cert, key } = await certificate();
  await using app = await serving(routes, { cert, key });
  const request = `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(1024 * 1024)}\r\n\r\n`;
  assertMatch((await askTls(app.addr.port, cert, { request })).answer, /^HTTP\/1\.1 431 /);
});

/** Runs one of this folder's programs, and `talk` with its port. @returns What it printed after that. */
async function logOf(
  args: string[],
  talk: (address: { hostname: string; port: number }) => Promise<void>,
): Promise<string[]> {
  const [name, ...rest] = args;
  await using program = new Program(
    ...["run", "--no-prompt", "--allow-net", "--allow-read"],
    `tests/http/${name}`,
    ...rest,
  );
  const port = Number(/:(\d+)$/.exec(await program.nextLine())![1]);
  await talk({ hostname: "127.0.0.1", port });
  program.signal("SIGTERM");
  const { code, stdout, stderr } = await program.end();
  assertEquals([code, stderr], [0, ""]);
  return stdout.split("\n").slice(0, -1);
}

test("HTTPListener ends plain HTTP on its TLS port, with one line in the log", TLS, async () => {
  await using folder = new Folder();
  const { cert, key } = await makeCertificate(folder);
  const lines = await logOf(["tls_program.ts", cert, key], async (address) => {
    using client = await RawClient.connect(address);
    await client.send(GET);
    assertEquals((await client.gone()).includes("HTTP/1.1"), false);
    // It goes on for those who speak TLS.
    const { answer } = await askTls(address.port, await Deno.readTextFile(cert));
    assertMatch(answer, WELCOME);
  });
  assertEquals(lines.length, 2, lines.join("\n"));
  assertMatch(
    lines[0],
    /^WARNING: 127\.0\.0\.1:\d+ - closed: TLS failed \(.*InvalidContentType\)$/,
  );
  assertMatch(lines[1], /^INFO: 127\.0\.0\.1:\d+ - "GET \/ HTTP\/1\.1" 200$/);
});

test(
  "HTTPListener logs what a client has against its certificate, not that it speaks no TLS",
  TLS,
  async () => {
    await using folder = new Folder();
    const { cert, key } = await makeCertificate(folder);
    const lines = await logOf(["tls_program.ts", cert, key], async ({ port }) => {
      using conn = await Deno.connectTls({ hostname: "localhost", port });
      await assertRejects(() => conn.handshake(), Deno.errors.InvalidData, "UnknownIssuer");
    });
    assertEquals(lines.length, 1, lines.join("\n"));
    assertMatch(lines[0], /^WARNING: 127\.0\.0\.1:\d+ - closed: TLS failed \(.*UnknownCA\)$/);
  },
);

test("HTTPListener ends TLS on its plain port, with one line in the log", TLS, async () => {
  const lines = await logOf(["log_program.ts"], async ({ hostname, port }) => {
    using conn = await Deno.connectTls({ hostname, port });
    await assertRejects(() => conn.handshake(), Deno.errors.InvalidData);
    using client = await RawClient.connect({ hostname, port });
    await client.send(GET);
    assertMatch(await client.rest(), WELCOME);
  });
  assertEquals(lines.length, 2, lines.join("\n"));
  assertMatch(
    lines[0],
    /^WARNING: 127\.0\.0\.1:\d+ - refused with 400: .*received "\\u0016\\u0003/,
  );
});

const UNIX: Needs = { permissions: ["net", "read", "write"] };

test("HTTPListener listens on a Unix socket with path, and leaves none behind", UNIX, async () => {
  await using folder = new Folder();
  const path = `${folder.path}/app.sock`;
  await using app = await serving(routes, { path });
  for (let start = 0; start < 2; start++) {
    await app.start();
    const conn = await Deno.connect({ transport: "unix", path });
    await conn.write(latin1(GET));
    assertMatch(await new Response(conn.readable).text(), WELCOME);
    await app.stop();
  }
});

test("HTTPListener.addr refuses where the server listens on a Unix socket", UNIX, async () => {
  await using folder = new Folder();
  await using app = await serving(routes, { path: `${folder.path}/app.sock` });
  assertThrows(() => app.addr, TypeError, "the server listens on a Unix socket; use listenAddr");
});
