// A proxy that tunnels to this machine, and to the hosts given as arguments:
//
//   deno run --allow-net examples/connect_proxy.ts [host ...]
//
// Then use it: curl --proxytunnel --proxy http://127.0.0.1:8000 http://127.0.0.1:8080/. Ctrl-C stops it.

import { HTTPError, HTTPListener } from "../mod.ts";

/** This machine: an open proxy would soon be abused. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/i;

export const app = new HTTPListener({ port: 8000 });

app.onEvent("CONNECT:<host>:<port:int>", async ({ ctx, params: { host, port }, signal }) => {
  if (!LOOPBACK.test(host) && !(import.meta.main && Deno.args.includes(host))) {
    throw new HTTPError(403, `This proxy does not connect to ${host}`);
  }
  using target = await connect(host.replace(/[[\]]/g, ""), port);
  const { conn, head } = await ctx.upgrade();
  using client = conn;
  // Tunnels that are still open when the grace period ends are closed.
  signal.addEventListener("abort", () => [client, target].forEach((end) => end.close()));
  await writeAll(target, head);
  // If one direction fails, both are closed.
  await Promise.all([copy(client, target), copy(target, client)]).catch(() => {});
});

async function connect(hostname: string, port: number): Promise<Deno.Conn> {
  try {
    return await Deno.connect({ hostname, port });
  } catch (cause) {
    throw new HTTPError(502, `Cannot connect to ${hostname}:${port}`, { cause });
  }
}

/** Copies to the end of the stream, then ends the other one. The opposite direction may still be in use. */
async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let n; (n = await from.read(buffer)) !== null;) await writeAll(to, buffer.subarray(0, n));
  await to.closeWrite();
}

async function writeAll(to: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

if (import.meta.main) await app.run();
