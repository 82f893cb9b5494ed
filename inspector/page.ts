// The inspector's page: one self-contained document, so that it works wherever the package was loaded from,
// without a file to read or a build step. "NONCE" is replaced in each response.

import { SCRIPT } from "./page_script.ts";
import { STYLE } from "./page_style.ts";

const ICON = "data:image/svg+xml," + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="7" cy="7" r="4.5" fill="none" ' +
    'stroke="#2f6fde" stroke-width="2"/><path d="M10.5 10.5L14 14" stroke="#2f6fde" stroke-width="2"/></svg>',
);

/** The page. */
export const PAGE: string = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inspector</title>
<link rel="icon" href="${ICON}">
<style nonce="NONCE">${STYLE}</style>
<header>
  <h1>Inspector</h1>
  <span id="host"></span>
  <span id="state" role="status">connecting</span>
  <span class="space"></span>
  <input id="filter" type="search" placeholder="Filter" aria-label="Show only entries that contain this text">
  <button id="pause" type="button">Pause</button>
</header>
<main>
  <section class="tiles" id="tiles" aria-label="Figures"></section>
  <div class="columns">
    <div>
      <section class="card">
        <h2>Timeline <small>the last minute, by duration</small></h2>
        <svg id="chart" role="img" aria-label="Requests of the last minute by duration"></svg>
        <div class="scroll" id="contexts"></div>
        <p class="empty">Nothing has happened yet. Send a request.</p>
      </section>
      <section class="card">
        <h2>Routes <small id="routes-more"></small></h2>
        <div class="scroll"><table>
          <thead><tr><th>Method<th>Pattern<th class="num">Count<th class="num wide">Active<th class="num">Errors<th class="num wide">p50<th class="num">p99</thead>
          <tbody id="routes"></tbody>
        </table></div>
        <p class="empty">The application has no routes.</p>
      </section>
    </div>
    <div>
      <section class="card">
        <h2>Connections <small id="connections-more"></small></h2>
        <div class="scroll"><table>
          <thead><tr><th>Client<th>State<th class="wide">Request<th class="num">Requests<th class="num">Age</thead>
          <tbody id="connections"></tbody>
        </table></div>
        <p class="empty">No open connections.</p>
      </section>
      <section class="card">
        <h2>Errors <small id="errors-more"></small></h2>
        <div class="scroll" id="errors"></div>
        <p class="empty">No errors so far.</p>
      </section>
    </div>
  </div>
</main>
<script nonce="NONCE">${SCRIPT}</script>
</html>
`;
