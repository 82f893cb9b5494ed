// This package's server for the comparison.

import { HTTPListener } from "../../../http_context.ts";
import { routes } from "../ours.ts";

const app = new HTTPListener({ port: 0, accessLog: false });
routes(app);
await app.start();
console.log(app.addr.port);
