// Values of a wrong type in messages for the one who writes the program.

/** Characters of a text that are shown. */
const MAX = 64;

/** `value` in a message about what should be a number or a function; text with its type, as `80` and `"80"` look alike. */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    const text = value.length > MAX ? `${value.slice(0, MAX)}...` : value;
    return `${JSON.stringify(text)} (a string)`;
  }
  // An object may have no text, and an array that of its only element.
  return Object(value) === value ? Object.prototype.toString.call(value) : String(value);
}
