// The load: wrk, which sends the bytes of a case over 64 connections, as fast as they are answered.

import { type Case, requestOf } from "./cases.ts";

/** Connections that are open at a time. */
export const CONNECTIONS = 64;

/** What wrk has seen. */
export interface LoadReport {
  /** Answers. */
  requests: number;
  /** Milliseconds in which 99 of 100 answers had come; null where the load could be paused. */
  p99: number | null;
  /** What went wrong: 4xx and 5xx answers, failed connections; null where nothing did. */
  failure: string | null;
}

/** As `done()` prints it. */
interface Report {
  requests: number;
  p99: number | null;
  errors: Record<"connect" | "read" | "write" | "status" | "timeout", number>;
}

/** Seconds that a load goes on at most, if nobody ends it. */
const LONGEST = 3600;

/** A load under way; `await using` kills what is left of it. */
export class Load implements AsyncDisposable {
  readonly #script: string;
  readonly #wrk: Deno.ChildProcess;
  readonly #output: Promise<Deno.CommandOutput>;

  /** Begins to send, for so many seconds; if not given, until `end()`. */
  constructor(it: Case, port: number, seconds?: number) {
    this.#script = Deno.makeTempFileSync({ prefix: "bench-", suffix: ".lua" });
    Deno.writeTextFileSync(this.#script, lua(it, port, seconds !== undefined));
    const url = `${it.isTls ? "https" : "http"}://127.0.0.1:${port}/`;
    this.#wrk = new Deno.Command("wrk", {
      args: [
        ...["-t1", `-c${CONNECTIONS}`, `-d${seconds ?? LONGEST}s`, "--timeout", "10s"],
        ...["-s", this.#script, url],
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#output = this.#wrk.output();
  }

  /** Sends nothing, and reads nothing, until `resume()`. */
  pause(): void {
    this.#wrk.kill("SIGSTOP");
  }

  /** Goes on after `pause()`. */
  resume(): void {
    this.#wrk.kill("SIGCONT");
  }

  /** Ends it, and tells what it has seen. */
  end(): Promise<LoadReport> {
    this.#wrk.kill("SIGINT");
    return this.report();
  }

  /** Waits for its own end, and tells what it has seen. */
  async report(): Promise<LoadReport> {
    const { stdout, stderr } = await this.#output;
    const decoder = new TextDecoder();
    const output = decoder.decode(stdout) + decoder.decode(stderr);
    const line = /^report (.*)$/m.exec(output)?.[1];
    if (line === undefined) throw new Error(`Cannot read what wrk prints: ${output}`);
    return read(JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#wrk.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#output;
    await Deno.remove(this.#script);
  }
}

/** Loads a server for so many seconds without a pause. */
export async function load(it: Case, port: number, seconds: number): Promise<LoadReport> {
  await using load = new Load(it, port, seconds);
  return await load.report();
}

function read({ requests, p99, errors }: Report): LoadReport {
  const failures = Object.entries(errors).filter(([, count]) => count > 0);
  if (requests === 0) failures.push(["answers", 0]);
  return {
    requests,
    p99: p99 === null ? null : p99 / 1e3,
    failure: failures.map(([kind, count]) => `${kind}: ${count}`).join(", ") || null,
  };
}

/**
 * The script: wrk asks `wrk.format()` once for what it sends, and counts the requests in it; where there is a
 * `request()`, it asks that each time.
 */
function lua(it: Case, port: number, hasP99: boolean): string {
  const requests = [it.head, ...it.others ?? []].map((head) =>
    quote(requestOf({ ...it, head }, `127.0.0.1:${port}`))
  );
  return `
local pipelined = ${it.pipelined ?? 1}
local requests = { ${requests.join(", ")} }
wrk.format = function() return requests[1] end
if #requests > 1 then
  local turn = 0
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end
${hasP99 ? P99 : NO_P99}
function done(summary, latency)
  local e = summary.errors
  print(string.format(
    'report {"requests":%d,"p99":%s,' ..
    '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}',
    summary.requests, p99(summary, latency),
    e.connect, e.read, e.write, e.status, e.timeout))
end
`;
}

/**
 * wrk adds times that it has not measured: for each one longer than twice the mean, that less the mean,
 * less twice the mean, and so on, as if requests had waited to be sent. Here none wait. So they are taken
 * out again, from the longest on, until what is left over is one in a hundred.
 */
const P99 = `
function p99(summary, latency)
  local perConnection = math.floor(summary.requests / ${CONNECTIONS})
  if perConnection == 0 then return latency.max end
  local mean = math.floor(summary.duration / perConnection)
  local wanted = summary.requests / pipelined / 100
  local added = {}
  for i = #latency, 1, -1 do
    local time, count = latency(i)
    count = count - (added[time] or 0)
    if time >= 2 * mean then
      for earlier = time - mean, mean + 1, -mean do
        added[earlier] = (added[earlier] or 0) + count
      end
    end
    wanted = wanted - count
    if wanted <= 0 then return time end
  end
  return 0
end
`;

const NO_P99 = `
function p99()
  return "null"
end
`;

function quote(text: string): string {
  return `"${
    text.replaceAll(/[^ !#-[\]-~]/g, (it) => `\\${`${it.charCodeAt(0)}`.padStart(3, "0")}`)
  }"`;
}
