// What RFC 9110 and 9112 ask of every answer, whatever the request was.

/** One answer of a server. */
export interface Answer {
  status: number;
  /** Names in lower case. */
  fields: [name: string, value: string][];
  body: string;
  isComplete: boolean;
}

/** What a rule is asked about. */
interface Question {
  answer: Answer;
  /** The first of the requests that were sent. */
  request: string;
  /** It is the last answer before the server closed. */
  isLast: boolean;
  /** Whether the answer has a field of that name. */
  has(name: string): boolean;
}

/** Rules that no answer may break; each function tells whether one does. */
const RULES: readonly [rule: string, isBroken: (question: Question) => boolean][] = [
  [
    "RFC 9110 6.6.1: an answer of 2xx, 3xx or 4xx has a Date",
    ({ answer: { status }, has }) => status >= 200 && status < 500 && !has("date"),
  ],
  [
    "RFC 9112 6.2: no Content-Length goes with Transfer-Encoding",
    ({ has }) => has("content-length") && has("transfer-encoding"),
  ],
  [
    "RFC 9112 6.1: a 1xx or 204 has no Transfer-Encoding",
    ({ answer: { status }, has }) => (status < 200 || status === 204) && has("transfer-encoding"),
  ],
  [
    "RFC 9110 8.6: a 1xx or 204 has no Content-Length",
    ({ answer: { status }, has }) => (status < 200 || status === 204) && has("content-length"),
  ],
  [
    "RFC 9112 6.1: an answer to HTTP/1.0 has no Transfer-Encoding",
    ({ request, has }) => isHttp10(request) && has("transfer-encoding"),
  ],
  [
    "RFC 9110 15.2: HTTP/1.0 gets no 1xx",
    ({ answer: { status }, request }) => status < 200 && isHttp10(request),
  ],
  [
    "RFC 9112 9.6: the last answer before the server closes says Connection: close",
    ({ answer: { status, fields }, request, isLast }) =>
      isLast && status >= 200 && !isHttp10(request) &&
      !fields.some(([name, value]) => name === "connection" && /\bclose\b/i.test(value)),
  ],
  [
    "RFC 9112 9.3: an answer to HTTP/1.0 that keeps the connection says Connection: keep-alive",
    ({ answer: { status, fields }, request, isLast }) =>
      !isLast && status >= 200 && isHttp10(request) &&
      !fields.some(([name, value]) => name === "connection" && /\bkeep-alive\b/i.test(value)),
  ],
  [
    "RFC 9110 15.5.6: a 405 has an Allow",
    ({ answer: { status }, has }) => status === 405 && !has("allow"),
  ],
  [
    "RFC 9110 7.8: a 101 names the protocol in Upgrade",
    ({ answer: { status }, has }) => status === 101 && !has("upgrade"),
  ],
  [
    "RFC 9110 5.3: a field that is no list comes once",
    ({ answer: { fields } }) =>
      ["date", "content-length", "content-type", "location"].some((single) =>
        fields.filter(([name]) => name === single).length > 1
      ),
  ],
];

/** The rules that answers to a message break. @param isClosed The server has closed. */
export function broken(answers: Answer[], request: string, isClosed: boolean): string[] {
  return RULES.filter(([, isBroken]) =>
    answers.some((answer, i) =>
      isBroken({
        answer,
        request: i === 0 || answers[i - 1].status < 200 ? request : "",
        isLast: isClosed && i === answers.length - 1,
        has: (name) => answer.fields.some(([other]) => other === name),
      })
    )
  ).map(([rule]) => rule);
}

/** The names of the rules. */
export function ruleNames(): string[] {
  return RULES.map(([rule]) => rule);
}

function isHttp10(request: string): boolean {
  return /^[^\r\n]* HTTP\/1\.0\r\n/.test(request);
}
