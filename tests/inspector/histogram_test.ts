import { assert, assertEquals } from "@std/assert";
import { Histogram } from "../../inspector/histogram.ts";

Deno.test("Histogram has no quantile before the first latency", () => {
  assertEquals(new Histogram().quantile(0.5), null);
});

Deno.test("Histogram.quantile() is off by 9 % at most, from 0.01 ms to 10 minutes", () => {
  for (let latency = 0.01; latency < 600_000; latency *= 1.07) {
    const histogram = new Histogram();
    histogram.record(latency);
    for (const part of [0.01, 0.5, 1]) {
      const error = Math.abs(histogram.quantile(part)! / latency - 1);
      assert(error < 0.095, `${latency} ms: ${histogram.quantile(part)}`);
    }
  }
});

Deno.test("Histogram.quantile() tells what so many are at most", () => {
  const histogram = new Histogram();
  for (let i = 0; i < 98; i++) histogram.record(1);
  histogram.record(100);
  histogram.record(1_000);
  const near = (value: number | null, expected: number): void =>
    assert(Math.abs(value! / expected - 1) < 0.1, `${value} is not near ${expected}`);
  near(histogram.quantile(0.5), 1);
  near(histogram.quantile(0.98), 1);
  near(histogram.quantile(0.99), 100);
  near(histogram.quantile(1), 1_000);
  assertEquals(histogram.count, 100);
});

Deno.test("Histogram takes what is out of its range for what is next to it", () => {
  const histogram = new Histogram();
  for (const latency of [0, -1, NaN, Infinity, 1e12]) histogram.record(latency);
  assert(histogram.quantile(0)! < 0.02 && histogram.quantile(1)! > 500_000);
});
