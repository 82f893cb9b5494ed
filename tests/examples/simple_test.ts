import { assertEquals } from "@std/assert";

Deno.test("examples/simple.ts saves the data first, then sends the email, and ends", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", new URL("../../examples/simple.ts", import.meta.url).pathname],
    env: { NO_COLOR: "1" },
  }).output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  assertEquals([code, err], [0, ""]);
  assertEquals(out.split("\n"), [
    "Save data done!, username: Alice, age: 35",
    "Send email done!, email: alice@tl.com",
    "",
  ]);
});
