// The look of the inspector's page: light or dark like the system, and usable on a phone.

/** The page's style sheet. */
export const STYLE: string = String.raw`
:root {
  color-scheme: light dark;
  --back: #f4f5f7; --card: #fff; --line: #e3e6eb; --text: #1b2027; --soft: #667080; --bar: #dfe5ee;
  --accent: #2f6fde; --good: #1a8a55; --warn: #a66a00; --bad: #cc3340; --info: #7a4fd0;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #0f1216; --card: #171b21; --line: #272d36; --text: #e5e9ef; --soft: #8f9aaa; --bar: #2a323e;
    --accent: #6ea4ff; --good: #4cc38a; --warn: #e0a63f; --bad: #ff6f78; --info: #b595ff;
  }
}
* { box-sizing: border-box; margin: 0; }
body { background: var(--back); color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
header {
  position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: center;
  padding: 10px 20px; background: var(--card); border-bottom: 1px solid var(--line);
}
h1 { font-size: 16px; font-weight: 650; }
h2 { font-size: 13px; font-weight: 650; }
#host { color: var(--soft); font-family: var(--mono); font-size: 12px; }
#state { display: flex; align-items: center; gap: 6px; color: var(--soft); font-size: 12px; }
#state::before { content: ""; width: 8px; height: 8px; border-radius: 50%; background: var(--warn); }
#state.live::before { background: var(--good); animation: pulse 2s infinite; }
#state.paused::before { background: var(--soft); }
@keyframes pulse { 50% { opacity: .35; } }
@media (prefers-reduced-motion: reduce) { #state.live::before { animation: none; } }
header .space { flex: 1; }
input, button {
  font: inherit; font-size: 13px; color: inherit; background: var(--back); border: 1px solid var(--line);
  border-radius: 6px; padding: 5px 10px;
}
input { width: 200px; }
button { cursor: pointer; }
input:focus-visible, button:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
main { max-width: 1500px; margin: 0 auto; padding: 16px 20px 40px; display: grid; gap: 14px; }
.tiles { display: grid; gap: 12px; grid-template-columns: repeat(10, minmax(0, 1fr)); }
@media (max-width: 1350px) { .tiles { grid-template-columns: repeat(5, minmax(0, 1fr)); } }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 10px 14px; min-width: 0; }
.tile span { display: block; color: var(--soft); font-size: 12px; }
.tile b { font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile b small { font-size: 13px; font-weight: 500; color: var(--soft); }
.tile.bad b { color: var(--bad); }
.columns { display: grid; gap: 14px; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); align-items: start; }
.columns > div { display: grid; gap: 14px; min-width: 0; }
.card > h2 { display: flex; justify-content: space-between; gap: 10px; padding: 11px 14px 9px; }
.card > h2 small { color: var(--soft); font-weight: 400; }
.empty { padding: 4px 14px 14px; color: var(--soft); }
svg { display: block; width: 100%; height: 150px; border-bottom: 1px solid var(--line); }
svg text { fill: var(--soft); font: 10px var(--mono); }
svg line { stroke: var(--line); }
.scroll { max-height: 460px; overflow: auto; }
table { width: 100%; border-collapse: collapse; }
th {
  position: sticky; top: 0; background: var(--card); color: var(--soft); font-size: 11px; font-weight: 500;
  text-align: left;
}
th, td { padding: 5px 8px; border-top: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { padding-left: 14px; }
th:last-child, td:last-child { padding-right: 14px; }
.num { text-align: right; font-variant-numeric: tabular-nums; }
td.grow { width: 100%; max-width: 0; overflow: hidden; text-overflow: ellipsis; }
.mono, td.grow, summary .label { font-family: var(--mono); font-size: 12.5px; }
.method { display: inline-block; min-width: 52px; font: 600 11px var(--mono); color: var(--accent); }
.method.POST { color: var(--good); } .method.PUT, .method.PATCH { color: var(--warn); }
.method.DELETE { color: var(--bad); } .method.none { color: var(--soft); }
.soft { color: var(--soft); }
.s2 { color: var(--good); } .s3, .s1 { color: var(--info); } .s4 { color: var(--warn); } .s5 { color: var(--bad); }
.bad-text { color: var(--bad); }
.pill {
  display: inline-block; padding: 0 8px; border: 1px solid currentColor; border-radius: 99px; font-size: 11px;
  line-height: 18px; color: var(--soft);
}
.pill.handling { color: var(--accent); } .pill.sending { color: var(--good); } .pill.receiving { color: var(--warn); }
.pill.upgraded { color: var(--info); }
.own { opacity: .5; }
details { border-top: 1px solid var(--line); }
summary {
  display: grid; grid-template-columns: 62px 34px minmax(0, 1fr) 110px 70px; gap: 8px; align-items: center;
  padding: 5px 14px; cursor: pointer; list-style: none;
}
summary::-webkit-details-marker { display: none; }
summary:hover, tr:hover td { background: color-mix(in srgb, var(--bar) 35%, transparent); }
summary .label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
summary .time { color: var(--soft); font: 11px var(--mono); }
.track { position: relative; height: 8px; border-radius: 4px; background: var(--bar); overflow: hidden; }
.track i { position: absolute; top: 0; bottom: 0; min-width: 3px; border-radius: 4px; background: var(--accent); }
.track i.failed { background: var(--bad); } .track i.open { background: var(--warn); }
.events { padding: 2px 14px 10px; display: grid; gap: 4px; background: color-mix(in srgb, var(--bar) 20%, transparent); }
.events > div { display: grid; grid-template-columns: minmax(0, 1fr) minmax(80px, 45%) 70px; gap: 10px; align-items: center; }
.events p { overflow-wrap: anywhere; font: 12px var(--mono); }
.events p span + span:not(:empty)::before { content: "  "; white-space: pre; }
#errors summary { grid-template-columns: minmax(0, 1fr) auto; }
#errors .label { font-family: inherit; font-size: 13px; }
#errors .what { grid-column: 1 / -1; color: var(--soft); font: 11px var(--mono); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
pre { padding: 8px 14px 12px; overflow: auto; max-height: 260px; font: 11.5px/1.5 var(--mono); white-space: pre-wrap; overflow-wrap: anywhere; }
@media (max-width: 900px) { .columns { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 600px) {
  header, main { padding-left: 12px; padding-right: 12px; }
  .tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; }
  .tile { padding: 8px 10px; } .tile b { font-size: 17px; }
  .wide, .tile:last-child { display: none; }
  header .space { display: none; }
  input { flex: 1; width: 0; min-width: 110px; font-size: 16px; }
  summary { grid-template-columns: 34px minmax(0, 1fr) 60px; }
  summary .time, summary > .track { display: none; }
  .events > div { grid-template-columns: minmax(0, 1fr) 70px; } .events .track { display: none; }
  svg { height: 110px; }
}
`;
