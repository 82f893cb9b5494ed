// Values of the wrong type, as error messages show them to programmers.

/** Characters of a text that are shown. */
const MAX = 64;

/**
 * `value` in a message that expects a number or a function; text with its type, as `80` and `"80"` look
 * alike.
 */
export function shown(value: unknown): string {
  if (typeof value === "string") {
    const text = value.length > MAX ? `${value.slice(0, MAX)}...` : value;
    return `${JSON.stringify(text)} (a string)`;
  }
  // Converting an object to a string may fail, and turns an array into the text of its elements.
  return Object(value) === value ? Object.prototype.toString.call(value) : String(value);
}
