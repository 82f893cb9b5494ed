// The chart of RESULTS.md: bars of requests per second and of CPU time per request, as SVG.

import * as echarts from "echarts";
import { figuresOf, type Measurement, peersOf, type Round } from "./results.ts";
import { titleOf } from "./report.ts";

const WIDTH = 900;
const ROW = 34;
const TOP = 90;
const BOTTOM = 20;
/** The background is opaque: pages in light and in dark show the same picture. */
const COLORS = { background: "#ffffff", text: "#1f2328", ours: "#0969da", others: "#8c959f" };
/** The bars that are drawn in the colour of this project. */
const OURS = new Set(["listener", "serve"]);

/** Draws the rounds of one case. */
export function chart(rounds: Round<Measurement>[], peers: readonly string[]): string {
  const drawn = peersOf(rounds).filter((peer) => peers.includes(peer));
  const figures = drawn.map((peer) => figuresOf(rounds, peer));
  const image = echarts.init(null, null, {
    renderer: "svg",
    ssr: true,
    width: WIDTH,
    height: TOP + BOTTOM + ROW * drawn.length,
  });
  const text = { color: COLORS.text, fontFamily: "system-ui, sans-serif" };
  const bars = (index: number, values: number[], digits: number): echarts.BarSeriesOption => ({
    type: "bar",
    xAxisIndex: index,
    yAxisIndex: index,
    barWidth: "62%",
    label: {
      ...text,
      show: true,
      position: "right",
      fontSize: 13,
      formatter: ({ value }) =>
        (value as number).toLocaleString("en", { maximumFractionDigits: digits }),
    },
    data: values.map((value, i) => ({
      value,
      itemStyle: { color: OURS.has(drawn[i]) ? COLORS.ours : COLORS.others },
    })),
  });
  const names = drawn.map((peer) => titleOf(peer).replaceAll("`", ""));
  const heading = (left: number, title: string, subtext: string): echarts.TitleComponentOption => ({
    left,
    top: 16,
    text: title,
    subtext,
    textStyle: { ...text, fontSize: 16 },
    subtextStyle: { ...text, fontSize: 12 },
  });
  image.setOption({
    animation: false,
    backgroundColor: COLORS.background,
    title: [
      heading(170, "Requests per second", "GET /user/bob: more is better"),
      heading(560, "CPU µs per request", "of the server: less is better"),
    ],
    grid: [
      { left: 175, width: 290, top: TOP, bottom: BOTTOM },
      { left: 565, width: 270, top: TOP, bottom: BOTTOM },
    ],
    xAxis: [0, 1].map((gridIndex) => ({ type: "value", gridIndex, show: false })),
    yAxis: [0, 1].map((gridIndex) => ({
      type: "category",
      gridIndex,
      inverse: true,
      data: names,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: COLORS.others } },
      axisLabel: { ...text, show: gridIndex === 0, fontSize: 13 },
    })),
    series: [
      bars(0, figures.map(({ rps }) => rps), 0),
      bars(1, figures.map(({ cpu }) => cpu), 1),
    ],
  });
  const svg = image.renderToSVGString();
  image.dispose();
  return `${svg}\n`;
}
