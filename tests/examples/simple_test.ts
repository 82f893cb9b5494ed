import { assertEquals } from "@std/assert";
import { test } from "../needs.ts";
import { run } from "../program.ts";

test("examples/simple.ts saves the data first, then sends the email, and ends", {
  permissions: ["run"],
}, async () => {
  const { code, stdout, stderr } = await run("run", "--no-prompt", "examples/simple.ts");
  assertEquals([code, stderr], [0, ""]);
  assertEquals(stdout.split("\n"), [
    "Save data done!, username: Alice, age: 35",
    "Send email done!, email: alice@tl.com",
    "",
  ]);
});
