// How long the event loop has not polled the other connections. A read of data that is already there
// completes at once, and so does a write that the client accepts. Neither ends the turn, so a client that
// sends or receives fast enough would keep all others waiting.

/** Milliseconds for which connections are served before the event loop polls for other input. */
const TURN_MAX = 20;

/** Resolves when the event loop has polled. */
function poll(): Promise<void> {
  // With a callback of `setImmediate()` pending, the loop has work to do and polls only now and then.
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Turns of the event loop of which it polls in one at least: Tokio does in every 61st (`event_interval`). */
const POLLED_TURNS = 64;

/** Resolves when the event loop has certainly polled, and what it found was handled, however late timers are. */
export async function polled(): Promise<void> {
  for (let turn = 0; turn < POLLED_TURNS; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

// --- Streams being sent: a part may be at hand, and be accepted at once ------------------------------

/** Resolves at the end of a turn in which a stream has continued; null before one has. */
let turn: Promise<void> | null = null;
let turnBegan = 0;

/** Called when a stream continues. */
export function beginTurn(): void {
  if (turn !== null) return;
  turnBegan = performance.now();
  turn = poll();
  turn.then(() => turn = null);
}

/** Whether streams have run for so long that they must give way to others. */
export function isTurnLong(): boolean {
  return turn !== null && performance.now() - turnBegan > TURN_MAX;
}

/** What streams that have run for so long wait for; null for none. */
let next: Promise<void> | null = null;

/**
 * Waits until the event loop has polled. After a long turn, the timer that marks its end is overdue: the loop
 * would run it at once, and poll only every 61st time.
 */
export function nextTurn(): Promise<void> {
  if (next === null) {
    next = poll();
    next.then(() => next = null);
  }
  return next;
}

// --- Reads and requests: what they bring may already be there ----------------------------------------
//
// A read is likely to complete at once if the one before it did, and a request may follow another one in the
// buffer. If a read has to wait, the loop polls meanwhile.

/** When the loop last polled, or when work on data at hand first continued after that; 0 for neither. */
let since = 0;
let polling: Promise<void> | null = null;

/** Called when a read has had to wait. */
export function notePoll(): void {
  since = 0;
}

/**
 * Called before continuing with data that may be at hand.
 *
 * @param began When that work began, if not now.
 * @returns What to wait for first if the loop has not polled for long; otherwise null.
 */
export function pollIfLong(began?: number): Promise<void> | null {
  if (polling !== null) return polling;
  const now = Date.now();
  if (since === 0) since = began ?? now;
  if (now - since <= TURN_MAX) return null;
  polling = poll();
  polling.then(() => {
    polling = null;
    since = Date.now();
  });
  return polling;
}

/** Whether anything waits here: it will continue without any input from outside. */
export function isPollAwaited(): boolean {
  return next !== null || polling !== null;
}
