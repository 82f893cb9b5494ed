// The users of the service: their type, and where they are stored.

import { DatabaseSync } from "node:sqlite";

/** A user as the service shows it. */
export interface User {
  id: number;
  name: string;
  email: string;
}

/** What a client sends to add a user. */
export type NewUser = Omit<User, "id">;

/** The data that a client sent is not a valid user; the message says why. */
export class InvalidUser extends Error {}

/** Another user has the same address. */
export class EmailTaken extends Error {}

/** Validates the data that a client sent. */
export function toNewUser(body: unknown): NewUser {
  const { name, email } = Object(body);
  if (typeof name !== "string" || name.trim() === "") {
    throw new InvalidUser("name must be a non-empty string");
  }
  if (typeof email !== "string" || !/^[^\s@]+@[^\s@]+$/.test(email)) {
    throw new InvalidUser("email must be an address such as ada@example.org");
  }
  return { name: name.trim(), email };
}

/** Users in a SQLite database. */
export class Users {
  readonly #db: DatabaseSync;

  /** Opens or creates the database. Without a path, it is in memory and lost when the program ends. */
  constructor(path = ":memory:") {
    this.#db = new DatabaseSync(path);
    this.#db.exec(`
      CREATE TABLE IF NOT EXISTS users (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        email TEXT NOT NULL UNIQUE
      )
    `);
  }

  all(): User[] {
    return this.#db.prepare("SELECT * FROM users ORDER BY id").all().map(toUser);
  }

  get(id: number): User | null {
    const row = this.#db.prepare("SELECT * FROM users WHERE id = ?").get(id);
    return row === undefined ? null : toUser(row);
  }

  add({ name, email }: NewUser): User {
    const row = this.#db.prepare(
      "INSERT INTO users (name, email) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING *",
    ).get(name, email);
    if (row === undefined) throw new EmailTaken(`${email} belongs to another user`);
    return toUser(row);
  }

  /** Returns whether there was such a user. */
  remove(id: number): boolean {
    return this.#db.prepare("DELETE FROM users WHERE id = ?").run(id).changes > 0;
  }

  close(): void {
    this.#db.close();
  }
}

function toUser(row: Record<string, unknown>): User {
  return { id: Number(row.id), name: String(row.name), email: String(row.email) };
}
