// Waits for a byte of its first client, whose connection is ref'd, and then for none of its second client, whose
// connection is unref'd: for upgraded_conn_test.ts.

import { Clock } from "../../http/clock.ts";
import { Socket } from "../../http/socket.ts";
import { UpgradedConn } from "../../http/upgraded_conn.ts";

const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log(listener.addr.port);
const [first, second] = [await accept(), await accept()];
listener.close();
second.unref();
first.unref();
first.ref();
console.log(await first.read(new Uint8Array(1)));
first.close();

async function accept(): Promise<Deno.Conn> {
  const socket = new Socket(await listener.accept(), new Clock(), {
    writeTimeout: 0,
    accessLog: false,
  });
  return new UpgradedConn(socket, socket.read());
}
