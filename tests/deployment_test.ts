// The configurations in docs/deployment.md, each run in front of a service as the page sets it up.

import { assertEquals } from "@std/assert";
import type { ServerOptions } from "../http_context.ts";
import { freePort, listening } from "./conformance/peers.ts";
import { configuration } from "./deployment_page.ts";
import { serving } from "./http/serving.ts";
import { test } from "./needs.ts";

/** This machine's as well, and not the front's. */
const CLIENT = "127.0.0.2";
const OPENSSL = "/usr/bin/openssl";
/** Where nginx puts what it does not hold in memory. */
const TEMPORARY = "client_body_temp_path body; proxy_temp_path proxy; " +
  "fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;";

/** Makes a certificate in `folder`, as nginx and HAProxy want it. */
async function makeCertificate(folder: string): Promise<void> {
  const { success } = await new Deno.Command(OPENSSL, {
    args: [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"],
      ...[
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
      ],
      ...["-keyout", `${folder}/key.pem`, "-out", `${folder}/cert.pem`],
    ],
    stdout: "null",
    stderr: "null",
  }).output();
  assertEquals(success, true);
  const pems = ["cert", "key"].map((name) => Deno.readTextFileSync(`${folder}/${name}.pem`));
  await Deno.writeTextFile(`${folder}/both.pem`, pems.join(""));
}

interface Front {
  program: string;
  language: string;
  file: string;
  /** What the page says otherwise than this machine needs it. */
  changes(folder: string, port: number, back: number): [from: string, to: string][];
  args(folder: string): string[];
}

function start({ program, args }: Front, folder: string): Deno.ChildProcess {
  return new Deno.Command(program, {
    args: args(folder),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
}

const NGINX: Front = {
  program: "/usr/sbin/nginx",
  language: "nginx",
  file: "nginx.conf",
  changes: (folder, port, back) => [
    ["events {}", "daemon off; pid nginx.pid; error_log error.log; events {}"],
    ["http {", `http { access_log off; ${TEMPORARY}`],
    ["listen 443", `listen 127.0.0.1:${port}`],
    ["/etc/ssl/site", folder],
    ["127.0.0.1:8000", `127.0.0.1:${back}`],
  ],
  args: (folder) => ["-p", folder, "-c", "nginx.conf", "-e", "error.log"],
};

const HAPROXY: Front = {
  program: "/usr/sbin/haproxy",
  language: "haproxy",
  file: "haproxy.cfg",
  changes: (folder, port, back) => [
    [":443", `127.0.0.1:${port}`],
    ["/etc/ssl/site", folder],
    ["127.0.0.1:8000 check", `127.0.0.1:${back} check inter 100`],
  ],
  args: (folder) => ["-f", `${folder}/haproxy.cfg`],
};

const FRONTS: [what: string, front: Front, options: ServerOptions][] = [
  ["nginx", NGINX, { trustedProxies: ["127.0.0.1"] }],
  ["HAProxy", HAPROXY, { trustedProxies: ["127.0.0.1"] }],
  ["HAProxy with the PROXY protocol", {
    ...HAPROXY,
    changes: (folder, port, back) => [
      ...HAPROXY.changes(folder, port, back),
      ["inter 100", "inter 100 send-proxy-v2-ssl"],
      ["  option forwardfor\n", ""],
    ],
  }, { proxyProtocol: true }],
];

for (const [what, front, options] of FRONTS) {
  const { program, language, file, changes } = front;
  test(
    `docs/deployment.md's ${what} tells the client's address and scheme, not what a client made up`,
    { permissions: ["net", "read", "write", "run"], programs: [program, OPENSSL] },
    async () => {
      const folder = await Deno.makeTempDir();
      await using app = await serving((app) => {
        app.onEvent("GET:/healthz", ({ ctx }) => ctx.response(200, "up"));
        app.onEvent(({ ctx }) => {
          const addrs = [ctx.remoteAddr, ctx.peerAddr] as Deno.NetAddr[];
          return Response.json([...addrs.map(({ hostname }) => hostname), ctx.scheme]);
        });
      }, options);
      const port = freePort();
      await makeCertificate(folder);
      const text = await configuration(language, changes(folder, port, app.addr.port));
      await Deno.writeTextFile(`${folder}/${file}`, text);
      await using child = start(front, folder);
      try {
        await listening(port);
        using http = Deno.createHttpClient({
          caCerts: [await Deno.readTextFile(`${folder}/cert.pem`)],
          localAddress: CLIENT,
        });
        const headers = {
          Forwarded: "for=192.0.2.1;proto=http",
          "X-Forwarded-For": "192.0.2.1",
          "X-Forwarded-Proto": "http",
        };
        const url = `https://localhost:${port}/`;
        const response = await fetch(url, { headers, client: http });
        assertEquals(await response.json(), [CLIENT, "127.0.0.1", "https"]);
      } finally {
        child.kill("SIGTERM");
        await child.status;
        await Deno.remove(folder, { recursive: true });
      }
    },
  );
}

test(
  "docs/deployment.md's nginx lets two services restart one right after the other",
  { permissions: ["net", "read", "write", "run"], programs: [NGINX.program] },
  async () => {
    const folder = await Deno.makeTempDir();
    const backs = [freePort(), freePort()], port = freePort();
    const serve = (back: number) =>
      serving((app) => app.onEvent(({ ctx }) => ctx.response(200, "up")), { port: back });
    const services = [await serve(backs[0]), await serve(backs[1])];
    const upstream = await configuration("nginx", [
      ["127.0.0.1:8000", `127.0.0.1:${backs[0]}`],
      ["127.0.0.1:8001", `127.0.0.1:${backs[1]}`],
    ], 1);
    const text = `daemon off; pid nginx.pid; error_log error.log; events {} http { access_log off;
      ${TEMPORARY} ${upstream}
      server { listen 127.0.0.1:${port}; location / { proxy_pass http://app; } } }`;
    await Deno.writeTextFile(`${folder}/${NGINX.file}`, text);
    await using child = start(NGINX, folder);
    try {
      await listening(port);
      const ask = async () => await (await fetch(`http://127.0.0.1:${port}/`)).text();
      for (const [i, back] of backs.entries()) {
        await services[i][Symbol.asyncDispose]();
        // Nginx takes turns: at least one of them would go to the service that is down.
        assertEquals([await ask(), await ask()], ["up", "up"]);
        services[i] = await serve(back);
      }
    } finally {
      child.kill("SIGTERM");
      await child.status;
      for (const service of services) await service[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    }
  },
);
