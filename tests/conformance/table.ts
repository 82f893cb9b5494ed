// The table of what is sent to a server, by rule. What is at stake in each row is how many requests a server
// counts, what it takes them for, and whether the connection goes on.

import { ANSWERS } from "./cases/answers.ts";
import { FIELDS } from "./cases/fields.ts";
import { FRAMING } from "./cases/framing.ts";
import { REQUEST_LINE } from "./cases/request_line.ts";
import type { Group } from "./case.ts";

/** All groups, in the order of RFC 9112. */
export const TABLE: readonly Group[] = [...REQUEST_LINE, ...FIELDS, ...FRAMING, ...ANSWERS];
