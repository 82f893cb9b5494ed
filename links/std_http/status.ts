// Stand-in for @std/http/status where JSR cannot be reached, over node:http. It is not published.
import { STATUS_CODES } from "node:http";

/** A status code that has a registered reason phrase. */
export type StatusCode = number;

/** Maps status codes to their reason phrases. */
export const STATUS_TEXT: Readonly<Record<number, string>> = {
  ...STATUS_CODES as Record<number, string>,
  // Node has the name from before RFC 9110.
  413: "Content Too Large",
};
