import { type Needs, test } from "../needs.ts";
import { check, fuzz, readCorpus } from "./fuzz.ts";
import { Random } from "./random.ts";

const READ: Needs = { permissions: ["read"] };

test("Connection ends in events or documented errors with every input of the corpus", READ, () => {
  const random = new Random(1);
  for (const input of readCorpus()) {
    try {
      check(input, random);
    } catch (error) {
      throw new Error(JSON.stringify(input), { cause: error });
    }
  }
});

test("Connection ends in events or documented errors with inputs made of the corpus", READ, () => {
  fuzz(new Random(2), readCorpus(), (runs) => runs === 20_000, () => {});
});
