// The servers that the table is held against, each in a process of its own that answers as `ours.ts` does.

/** One server, running. */
export interface Peer extends AsyncDisposable {
  port: number;
}

/** A server of the comparison; `start()` resolves when it listens. */
export interface PeerKind {
  name: string;
  /** Its name and version. */
  version(): Promise<string>;
  start(): Promise<Peer>;
}

const here = new URL(".", import.meta.url).pathname;
const DENO_ARGS = ["run", "--no-prompt", "--allow-net", "--allow-read"];

/** All of them, in the order of the columns. */
export const PEERS: readonly PeerKind[] = [
  {
    name: "tiny-listener",
    version: () => Promise.resolve("this one"),
    start: () => startProgram(Deno.execPath(), [...DENO_ARGS, `${here}peers/ours_program.ts`]),
  },
  {
    name: "Deno.serve",
    version: () => Promise.resolve(`Deno ${Deno.version.deno}`),
    start: () => startProgram(Deno.execPath(), [...DENO_ARGS, `${here}peers/deno_serve.ts`]),
  },
  {
    name: "node:http",
    version: async () => `Node ${(await output("node", "--version")).trim()}`,
    start: () => startProgram("node", [`${here}peers/node_http.mjs`]),
  },
  {
    name: "nginx",
    version: async () => (await output("nginx", "-v")).trim().replace("nginx version: ", ""),
    start: startNginx,
  },
];

/** What a program prints. */
async function output(program: string, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await new Deno.Command(program, { args }).output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

/** Starts a program that prints its port in a line of its own. */
async function startProgram(program: string, args: string[]): Promise<Peer> {
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value } = await lines.read();
  return {
    port: Number(value),
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill("SIGKILL");
      await Promise.all([child.status, lines.cancel()]);
    },
  };
}

/** A port of 127.0.0.1 that nobody listens on. */
export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Waits until somebody listens on the port. */
export async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }
  throw new Error(`Cannot connect to port ${port}: nobody listens after 5 s`);
}

/**
 * nginx runs no program of ours, so one of its servers hands requests on, as it does for an application, and
 * the other tells what it got.
 */
async function startNginx(): Promise<Peer> {
  const directory = await Deno.makeTempDir();
  const port = freePort();
  await Deno.writeTextFile(
    `${directory}/nginx.conf`,
    `daemon off;
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  default_type text/plain;
  map $content_length $size { "" 0; default $content_length; }
  server {
    listen unix:back.sock;
    location / { return 200 "$request_method $http_x_host$request_uri $size"; }
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://unix:back.sock;
      proxy_set_header X-Host $http_host;
    }
    location = /204 { return 204; }
    location = /304 { return 304; }
    location = /early { return 200 "early"; }
    location = /stream {
      sub_filter none nothing;
      sub_filter_types *;
      return 200 "stream";
    }
  }
}
`,
  );
  const child = new Deno.Command("nginx", {
    args: ["-p", directory, "-c", "nginx.conf", "-e", "error.log"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await listening(port);
  return {
    port,
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill("SIGTERM");
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}
