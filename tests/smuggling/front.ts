// nginx and HAProxy in front of a server under test: started with a configuration in a directory of its own,
// in the foreground, and ended so that all they have handed on is in their log.

import { freePort, listening } from "../conformance/peers.ts";

/** A request in the log of a front. */
export interface Logged {
  /** The request line. */
  line: string;
  /** The status it was answered with. */
  status: number;
  /** Whether it was handed on. */
  isForwarded: boolean;
  /** The status that came from behind; 0 where none did. */
  upstream: number;
}

/** A front, running. */
export interface Front extends AsyncDisposable {
  port: number;
  /** Lets what is under way end, ends the program, and returns its log. */
  end(): Promise<Logged[]>;
}

/** A front that can be started before the server on `back`. */
export interface FrontKind {
  name: string;
  program: string;
  start(back: number): Promise<Front>;
}

/** How long a front waits for the rest of a request. */
const PATIENCE = "500ms";

/** The fronts, in the ways that people configure them. */
export const FRONTS: readonly FrontKind[] = [
  {
    name: "nginx",
    program: "/usr/sbin/nginx",
    start: (back) => startNginx(back, "", '""'),
  },
  {
    name: "nginx that passes bodies and upgrades on as they come",
    program: "/usr/sbin/nginx",
    start: (back) =>
      startNginx(
        back,
        `proxy_request_buffering off;
        proxy_buffering off;
        proxy_set_header Upgrade $http_upgrade;`,
        "upgrade",
      ),
  },
  {
    name: "HAProxy",
    program: "/usr/sbin/haproxy",
    start: (back) => startHaproxy(back, ""),
  },
  {
    name: "HAProxy that accepts invalid requests",
    program: "/usr/sbin/haproxy",
    start: (back) => startHaproxy(back, "option accept-invalid-http-request"),
  },
];

/** @param connection The connection option that is passed on with an Upgrade. */
async function startNginx(back: number, more: string, connection: string): Promise<Front> {
  const port = freePort();
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${directory}/nginx.conf`,
    `daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {}
http {
  log_format counted escape=json '{"line":"$request","status":"$status","upstream":"$upstream_status"}';
  access_log access.log counted;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_header_timeout ${PATIENCE};
  client_body_timeout ${PATIENCE};
  keepalive_timeout ${PATIENCE};
  lingering_timeout ${PATIENCE};
  underscores_in_headers on;
  ignore_invalid_headers off;
  map $http_upgrade $passed_on { "" ""; default ${connection}; }
  upstream back { server 127.0.0.1:${back}; keepalive 4; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://back;
      proxy_http_version 1.1;
      proxy_set_header Connection $passed_on;
      proxy_set_header Host $host;
      proxy_next_upstream off;
      proxy_read_timeout 2s;
      ${more}
    }
  }
}
`,
  );
  return await startFront(port, directory, "SIGQUIT", {
    program: "/usr/sbin/nginx",
    args: ["-p", directory, "-c", "nginx.conf", "-e", "error.log"],
    log: async () => {
      const lines = (await Deno.readTextFile(`${directory}/access.log`)).trim().split("\n");
      return lines.filter((line) => line !== "").map((line): Logged => {
        const entry = JSON.parse(line);
        return {
          line: entry.line,
          status: Number(entry.status),
          isForwarded: entry.upstream !== "",
          upstream: Number(entry.upstream) || 0,
        };
      });
    },
  });
}

async function startHaproxy(back: number, more: string): Promise<Front> {
  const port = freePort();
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(
    `${directory}/haproxy.cfg`,
    `global
  log stdout len 4096 format raw local0
  nbthread 1
defaults
  mode http
  log global
  log-format "%ST %s %{+Q}r"
  timeout connect 2s
  timeout server 2s
  timeout client ${PATIENCE}
  timeout http-request ${PATIENCE}
  timeout http-keep-alive ${PATIENCE}
  retries 0
  http-reuse always
frontend in
  bind 127.0.0.1:${port}
  ${more}
  default_backend back
backend back
  server one 127.0.0.1:${back}
`,
  );
  let stdout = Promise.resolve("");
  return await startFront(port, directory, "SIGUSR1", {
    program: "/usr/sbin/haproxy",
    args: ["-f", `${directory}/haproxy.cfg`],
    started: (child) => stdout = new Response(child.stdout).text(),
    log: async () =>
      (await stdout).split("\n").flatMap((line): Logged[] => {
        const [, status, server, request] = /^(-?\d+) (\S+) "(.*)"$/.exec(line) ?? [];
        if (status === undefined) return [];
        const isForwarded = server !== "<NOSRV>";
        return [{ line: request, status: Number(status), isForwarded, upstream: Number(status) }];
      }),
  });
}

/** Starts a front that listens on `port`, and resolves when it does; `directory` is removed at its end. */
export async function startFront(
  port: number,
  directory: string,
  gracefully: Deno.Signal,
  { program, args, started = () => {}, log }: {
    program: string;
    args: string[];
    started?: (child: Deno.ChildProcess) => void;
    log: () => Promise<Logged[]>;
  },
): Promise<Front> {
  const child = new Deno.Command(program, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  if (started.length > 0) started(child);
  else child.stdout.cancel();
  let hasEnded = false;
  child.status.then(() => hasEnded = true);
  await listening(port);
  return {
    port,
    async end(): Promise<Logged[]> {
      child.kill(gracefully);
      await child.status;
      return await log();
    },
    async [Symbol.asyncDispose](): Promise<void> {
      if (!hasEnded) child.kill("SIGKILL");
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}
