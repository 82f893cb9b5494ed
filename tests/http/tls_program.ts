// A server that speaks TLS, and has a log, for tls_test.ts; its arguments are the files of the certificate
// and its key.

import { HTTPListener } from "../../http_context.ts";

const [cert, key] = Deno.args.map((path) => Deno.readTextFileSync(path));
const app = new HTTPListener({ port: 0, cert, key });
app.onEvent("GET:/", ({ ctx }) => ctx.response(200, "Welcome!"));
await app.run();
