// Draws the two state machines of h11/state.ts in Mermaid, for h11/README.md:
//
//   deno run tests/h11/state_diagram.ts

import {
  CLIENT,
  ERROR,
  EVENT_TRIGGERED_TRANSITIONS,
  type Role,
  SERVER,
  type State,
  STATE_TRIGGERED_TRANSITIONS,
} from "../../h11/state.ts";

/** What moves a role besides the tables: keep-alive and proposals to switch protocols. */
const RULES: Record<Role, [from: State, to: State, why: string][]> = {
  CLIENT: [
    ["DONE", "MIGHT_SWITCH_PROTOCOL", "it proposed to switch"],
    ["MIGHT_SWITCH_PROTOCOL", "DONE", "the proposal was declined"],
    ["DONE", "MUST_CLOSE", "no keep-alive"],
    ["DONE", "IDLE", "startNextCycle()"],
  ],
  SERVER: [
    ["DONE", "MUST_CLOSE", "no keep-alive"],
    ["DONE", "IDLE", "startNextCycle()"],
  ],
};

/** The machine of one role as a Mermaid diagram. */
export function stateDiagram(role: Role): string {
  const edges = new Map<string, string[]>();
  const add = (from: string, to: string, why: string): void => {
    const edge = `${from} --> ${to}`;
    edges.set(edge, [...edges.get(edge) ?? [], why]);
  };
  for (const [state, transitions] of Object.entries(EVENT_TRIGGERED_TRANSITIONS[role])) {
    for (const [trigger, next] of Object.entries(transitions)) add(state, next, trigger);
  }
  for (const [from, to, why] of RULES[role]) add(from, to, why);
  for (const [clientState, byServer] of Object.entries(STATE_TRIGGERED_TRANSITIONS)) {
    for (const [serverState, changes] of Object.entries(byServer)) {
      const [state, peer] = role === CLIENT
        ? [clientState, `SERVER ${serverState}`]
        : [serverState, `CLIENT ${clientState}`];
      const next = changes[role];
      if (next !== undefined) add(state, next, peer);
    }
  }
  return [
    "stateDiagram-v2",
    `    [*] --> IDLE`,
    ...Array.from(edges, ([edge, why]) => `    ${edge}: ${why.join(", ")}`),
    `    note right of ${ERROR}: from any state, when the ${role.toLowerCase()} breaks the protocol`,
    "",
  ].join("\n");
}

if (import.meta.main) {
  for (const role of [CLIENT, SERVER] as const) {
    console.log("```mermaid\n" + stateDiagram(role) + "```\n");
  }
}
