// Patterns that no request can match, as they are written for another framework. Events that are no requests
// are registered on an HTTP application as well, so what is not plainly meant for METHOD:/path is let through.

import { RouteError } from "../listener.ts";

// RFC 9110 9.3 and RFC 5789 2.
const METHOD = "(?:CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE)";
const FORM = 'must be "METHOD:/path", as in "GET:/foo"';

/** A mistake in a pattern, and what should be; the first one is told. */
const IN_PATTERN: readonly [mistake: RegExp, what: string][] = [
  [/^\//, FORM],
  [/^(?:\*|ALL|ANY):\//i, 'for all methods it begins with a param, as in "<method>:/foo"'],
  [RegExp(`^${METHOD}(?:\\s*[|,]\\s*${METHOD})+\\s*[:/]`, "i"), "register a route for each method"],
  [RegExp(`^${METHOD}\\s+:`), FORM],
  // It may be a word of another event, "get <what>" or "post:sent", but for the slash.
  [RegExp(`^${METHOD}\\s+/`, "i"), FORM],
  [RegExp(`^(?!${METHOD})(?i:${METHOD}):\\s*/`), 'methods are in upper case, as in "GET:/"'],
  // A request for a proxy has other targets: CONNECT a host and a port.
  [RegExp(`^(?!CONNECT)${METHOD}:(?![/<{*])`), FORM],
];

/** As above, in the path of METHOD:/path, with a letter in place of each param. */
const IN_PATH: readonly [mistake: RegExp, what: string][] = [
  [/\/(?:\.|%2e){1,2}(?:\/|$)/i, 'it has no segments "." and "..": they are taken out of requests'],
  [/\/:/, 'a param is written "<id>", not ":id"'],
  [/\/\*+(?:\/|$)/, 'the rest of a path is written "<rest:path>", not "*"'],
  [
    /[<{]/,
    'a param is written "<name>" or "<name:converter>", in letters, digits and _, no digit first',
  ],
  [/\?/, "the query is no part of the path: leave it out, and read ctx.query"],
  [/#/, "what comes after # is not sent by clients: leave it out"],
  [/\s/, 'a path has no white space: clients send "%20"'],
  [/[^!-~]/, 'a path is ASCII: clients send other characters encoded, as "%C3%A9"'],
];

const OF_METHOD = RegExp(`^${METHOD}:(/.*)$`, "s");

/**
 * Checks a pattern of an HTTP application.
 *
 * @param text The pattern with a letter in place of each param.
 * @throws {RouteError} It is meant for requests, and none can match it.
 */
export function checkPattern(pattern: string, text: string): void {
  const refuse = (table: typeof IN_PATTERN, text: string): void => {
    const found = table.find(([mistake]) => mistake.test(text));
    if (found !== undefined) throw new RouteError(`Cannot add route "${pattern}": ${found[1]}`);
  };
  refuse(IN_PATTERN, pattern);
  const path = OF_METHOD.exec(text)?.[1];
  if (path !== undefined) refuse(IN_PATH, path);
}
