// Stand-in for @std/assert where JSR cannot be reached: the functions this project uses, with
// the real package's names and signatures, over node:assert/strict. It is not published.
//
// `msg!`: @types/node, where a package brings it, has no overload for a string that may be undefined.
import assertStrict from "node:assert/strict";

/** Throws if `expr` is falsy. */
export function assert(expr: unknown, msg = ""): asserts expr {
  assertStrict.ok(expr, msg || "Assertion failed");
}

/** Throws if `actual` and `expected` are not deeply equal. */
export function assertEquals<T>(actual: T, expected: T, msg?: string): void {
  assertStrict.deepStrictEqual(actual, expected, msg!);
}

/** Throws if `actual` and `expected` are not the same value. */
export function assertStrictEquals<T>(
  actual: unknown,
  expected: T,
  msg?: string,
): asserts actual is T {
  assertStrict.strictEqual(actual, expected, msg!);
}

/** Throws if `actual` and `expected` are deeply equal. */
export function assertNotEquals<T>(actual: T, expected: T, msg?: string): void {
  assertStrict.notDeepStrictEqual(actual, expected, msg!);
}

/** Throws if `actual` does not contain `expected`. */
export function assertStringIncludes(actual: string, expected: string, msg?: string): void {
  assertStrict.ok(
    actual.includes(expected),
    msg ?? `Expected actual: "${actual}" to contain: "${expected}"`,
  );
}

/** Throws if `actual` does not match `expected`. */
export function assertMatch(actual: string, expected: RegExp, msg?: string): void {
  assertStrict.match(actual, expected, msg!);
}

/** Throws if `actual` is not an instance of `expectedType`. */
// deno-lint-ignore no-explicit-any
export function assertInstanceOf<T extends abstract new (...args: any[]) => any>(
  actual: unknown,
  expectedType: T,
  msg = "",
): asserts actual is InstanceType<T> {
  assertStrict.ok(
    actual instanceof expectedType,
    msg || `Expected object to be an instance of "${expectedType.name}"`,
  );
}

function check<E extends Error>(
  error: unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E {
  if (!(error instanceof Error)) {
    throw new assertStrict.AssertionError({
      message: `A non-Error object was thrown. ${msg ?? ""}`,
    });
  }
  if (ErrorClass) assertInstanceOf(error, ErrorClass, msg);
  if (msgIncludes) assertStringIncludes(error.message, msgIncludes, msg);
  return error as E;
}

/** Runs `fn` and returns what it threw; throws if it threw nothing, or another error. */
export function assertThrows<E extends Error = Error>(
  fn: () => unknown,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): E {
  let thrown: { error: unknown } | null = null;
  try {
    fn();
  } catch (error) {
    thrown = { error };
  }
  if (thrown === null) {
    throw new assertStrict.AssertionError({ message: msg ?? "Expected function to throw." });
  }
  return check(thrown.error, ErrorClass, msgIncludes, msg);
}

/** Runs `fn` and resolves with what it rejected with; rejects if it did not, or with another error. */
export async function assertRejects<E extends Error = Error>(
  fn: () => PromiseLike<unknown>,
  // deno-lint-ignore no-explicit-any
  ErrorClass?: abstract new (...args: any[]) => E,
  msgIncludes?: string,
  msg?: string,
): Promise<E> {
  let thrown: { error: unknown } | null = null;
  try {
    await fn();
  } catch (error) {
    thrown = { error };
  }
  if (thrown === null) {
    throw new assertStrict.AssertionError({ message: msg ?? "Expected function to reject." });
  }
  return check(thrown.error, ErrorClass, msgIncludes, msg);
}
