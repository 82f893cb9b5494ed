// Listens on the Unix socket it is given, and says so, or why it cannot.

import { HTTPListener } from "../../http_context.ts";

await using app = new HTTPListener({ path: Deno.args[0], accessLog: false });
console.log(await app.start().then(() => "listening", (error) => error.message));
