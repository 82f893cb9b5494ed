// How long the event loop has not looked at what has come over other connections. A read of what is there already
// ends at once, and so does a write that the client takes: neither ends the turn, and a client that sends or takes
// fast enough would keep all others waiting.

/** Milliseconds that connections are served before the event loop looks for what else has come. */
const TURN_MAX = 20;

/** Resolves when the event loop has looked. */
function look(): Promise<void> {
  // With a callback of `setImmediate()` to run the event loop has something to do, and looks only now and then.
  return new Promise((resolve) => setTimeout(resolve, 0));
}

// --- Streams that are sent: each part may be at hand, and taken at once ------------------------------

/** Resolves after a stream went on first in this turn; null before. */
let turn: Promise<void> | null = null;
let turnBegan = 0;

/** A stream goes on. */
export function beginTurn(): void {
  if (turn !== null) return;
  turnBegan = performance.now();
  turn = look();
  turn.then(() => turn = null);
}

/** Whether streams have gone on for so long that they must let others go on. */
export function isTurnLong(): boolean {
  return turn !== null && performance.now() - turnBegan > TURN_MAX;
}

/** Streams that have gone on for so long wait for this; null for none. */
let next: Promise<void> | null = null;

/**
 * Waits until the event loop has looked. The timer that tells the end of a turn is due long before a long one is over:
 * the loop would call it at once, and look only every 61st time.
 */
export function nextTurn(): Promise<void> {
  if (next === null) {
    next = look();
    next.then(() => next = null);
  }
  return next;
}

// --- Reads and requests: what they bring may be there already ----------------------------------------
//
// A read likely ends at once where the one before has, and a request may stand behind another one. Others wait, and
// the loop looks meanwhile.

/** When the loop looked, or one first went on after it with what may be there; 0 for none. */
let since = 0;
let looking: Promise<void> | null = null;

/** A read had to wait for what it has brought. */
export function haveLooked(): void {
  since = 0;
}

/**
 * Somebody goes on with what may be there.
 *
 * @param began When it began to, where it is not now for the first time.
 * @returns What it has to wait for, where nobody has looked for long.
 */
export function lookIfLong(began?: number): Promise<void> | null {
  if (looking !== null) return looking;
  const now = Date.now();
  if (since === 0) since = began ?? now;
  if (now - since <= TURN_MAX) return null;
  looking = look();
  looking.then(() => {
    looking = null;
    since = Date.now();
  });
  return looking;
}

/** Whether somebody waits here, for what comes without anything from outside. */
export function isLookAwaited(): boolean {
  return next !== null || looking !== null;
}
