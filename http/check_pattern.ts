// Patterns written for another framework, which no request can match. Events other than requests are also
// registered on an HTTP application, so whatever is not clearly meant as METHOD:/path is accepted.

import { RouteError, type RouteOptions } from "../listener.ts";

// RFC 9110 9.3 and RFC 5789 2.
const METHOD = "(?:CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE)";
const FORM = 'must be "METHOD:/path", as in "GET:/foo"';

/** Mistakes in a pattern, and what to write instead; the first match is reported. */
const IN_PATTERN: readonly [mistake: RegExp, what: string][] = [
  [/^\//, FORM],
  [/^(?:\*|ALL|ANY):\//i, 'to match all methods, begin with a param, as in "<method>:/foo"'],
  [RegExp(`^${METHOD}(?:\\s*[|,]\\s*${METHOD})+\\s*[:/]`, "i"), "register a route for each method"],
  [RegExp(`^${METHOD}\\s+:`), FORM],
  // Without the slash it may be a pattern of another event, such as "get <what>" or "post:sent".
  [RegExp(`^${METHOD}\\s+/`, "i"), FORM],
  [RegExp(`^(?!${METHOD})(?i:${METHOD}):\\s*/`), 'methods are upper case, as in "GET:/"'],
  // Requests to a proxy have other targets: that of CONNECT is a host and a port.
  [RegExp(`^(?!CONNECT)${METHOD}:(?![/<{*])`), FORM],
];

/** The same for the path of METHOD:/path, with a letter in place of each param. */
const IN_PATH: readonly [mistake: RegExp, what: string][] = [
  [/\/(?:\.|%2e){1,2}(?:\/|$)/i, 'remove "." and "..": no request path contains such segments'],
  [/\/:/, 'write a param as "<id>", not as ":id"'],
  [/\/\*+(?:\/|$)/, 'write the rest of a path as "<rest:path>", not as "*"'],
  [
    /[<{]/,
    'write a param as "<name>" or "<name:converter>", in letters, digits and _, not beginning with a digit',
  ],
  [/\?/, "the query is not part of the path; omit it, and read ctx.query"],
  [/#/, "clients do not send what follows #; omit it"],
  [/\s/, 'a path contains no whitespace; clients send "%20"'],
  [/[^!-~]/, 'a path is ASCII; clients send other characters encoded, as in "%C3%A9"'],
];

const OF_METHOD = RegExp(`^${METHOD}:(/.*)$`, "s");

/** `data` gives the handler's data a type, so it can be mistaken for a check of the request body. */
const NO_DATA = "a request is an event without data; omit the option data, " +
  "and validate the body in the handler: const item = toItem(await ctx.json())";

/**
 * Checks a pattern of an HTTP application.
 *
 * @param text The pattern with a letter in place of each param.
 * @param options The options of its route.
 * @throws {RouteError} The pattern is meant for requests, but no request can match it, or the route has the
 * option `data`, although requests have no data.
 */
export function checkPattern(pattern: string, text: string, { data }: RouteOptions): void {
  const fail = (what: string): never => {
    throw new RouteError(`Cannot add route "${pattern}": ${what}`);
  };
  const refuse = (table: typeof IN_PATTERN, text: string): void => {
    const found = table.find(([mistake]) => mistake.test(text));
    if (found !== undefined) fail(found[1]);
  };
  refuse(IN_PATTERN, pattern);
  const path = OF_METHOD.exec(text)?.[1];
  if (path === undefined) return;
  refuse(IN_PATH, path);
  if (data !== undefined) fail(NO_DATA);
}
