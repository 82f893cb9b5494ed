// The router: all patterns in one trie, so that the cost of a search depends on the path and not on the
// number of routes.
//
// A step down the trie is literal text (the label of a Node) or a param (a ParamNode, shared by all patterns
// that have the same converter in that place). A search tries the ends of a param from the farthest to the
// nearest, so params match the same text as with a greedy expression. Of the routes that match, the one
// registered first wins: each node knows the first route below it, and a node whose first route comes after
// the best so far is not entered.
//
// Time: no search tries an end of a param node twice. Ends are tried from high to low, so the starts of the
// next param come from high to low too, and as scanners are regular (see `Scanner`), all ends above the last
// start have been tried by then. One number per param node, `untried`, records that. So a node costs at most
// one pass over the path, and for a given set of routes a search is linear in the length of the path, hostile
// or not. Below a converter with a user-defined expression, starts come in any order; there, the remaining
// ends are recorded one by one. The expression itself is run on each candidate, which cannot be made linear,
// so the amount of text that all runs of a search read is limited (`#read`).

import { type Codes, type Expression, type Scanner, textOf } from "./converters.ts";
import { tooMuchToRead } from "./errors.ts";
import type { Route } from "./route.ts";

/** A place in the trie: what may come after the text that leads to it. */
class Node {
  /**
   * The position in the router's `#labels` of this node's label, the literal text that leads here from the
   * parent.
   */
  start: number;
  length: number;
  /** The first code unit of the label; NaN if the label is empty. */
  code: number;
  /** The order of the first route at or below this node. */
  readonly first: number;
  /** The route whose pattern ends here. */
  route: Route | null = null;
  /** The params that may come next, linked by `nextParam`. */
  param: ParamNode | null = null;
  /** The next node in the same bucket. */
  next: Node | null = null;
  // The children by the first code unit of their label: a hash table whose number of buckets is a power of
  // two. Most nodes of 10,000 routes have a single child, which needs no table.
  #only: Node | null = null;
  #buckets: (Node | null)[] | null = null;
  #count = 0;

  constructor(label: { start: number; length: number; code: number }, first: number) {
    this.start = label.start;
    this.length = label.length;
    this.code = label.code;
    this.first = first;
  }

  /** The child whose label begins with this code unit. */
  kid(code: number): Node | null {
    const buckets = this.#buckets;
    let kid = buckets === null ? this.#only : buckets[code & (buckets.length - 1)];
    while (kid !== null && kid.code !== code) kid = kid.next;
    return kid;
  }

  addKid(kid: Node): void {
    this.#count++;
    if (this.#count === 1) {
      this.#only = kid;
      return;
    }
    if (this.#buckets === null || this.#count > this.#buckets.length) this.#rehash();
    this.#link(kid);
  }

  #rehash(): void {
    const heads = this.#buckets ?? [this.#only];
    this.#buckets = new Array(heads.length * 2).fill(null);
    for (let head of heads) {
      while (head !== null) {
        const { next }: Node = head;
        this.#link(head);
        head = next;
      }
    }
  }

  #link(kid: Node): void {
    const buckets = this.#buckets!;
    const bucket = kid.code & (buckets.length - 1);
    kid.next = buckets[bucket];
    buckets[bucket] = kid;
  }

  /**
   * Splits the label of `kid` at `length`: a new node takes the part before it. `code` is the first code unit
   * after it.
   */
  splitKid(kid: Node, length: number, code: number): Node {
    const upper = new Node({ start: kid.start, length, code: kid.code }, kid.first);
    this.#replace(kid, upper);
    kid.start += length;
    kid.length -= length;
    kid.code = code;
    kid.next = null;
    upper.addKid(kid);
    return upper;
  }

  #replace(kid: Node, by: Node): void {
    by.next = kid.next;
    if (this.#buckets === null) {
      this.#only = by;
      return;
    }
    const bucket = kid.code & (this.#buckets.length - 1);
    let before = this.#buckets[bucket]!;
    if (before === kid) {
      this.#buckets[bucket] = by;
      return;
    }
    while (before.next !== kid) before = before.next!;
    before.next = by;
  }
}

const NO_CODES: Codes = new Uint16Array(0);
const NO_LABEL = { start: 0, length: 0, code: NaN };

/** A set of ends that finds the highest one at or below a given end fast: a disjoint-set forest. */
class Ends {
  /** For each end in the set, itself; for any other, a lower end at which to continue. */
  #next = new Int32Array(0);

  /** Fills the set with all ends from 0 to `last`. */
  reset(last: number): void {
    if (this.#next.length <= last) this.#next = new Int32Array(2 * (last + 1));
    for (let end = 0; end <= last; end++) this.#next[end] = end;
  }

  delete(end: number): void {
    this.#next[end] = end - 1;
  }

  /** Returns the highest end that is not above `end`, or -1 if there is none. */
  highest(end: number): number {
    const next = this.#next;
    let found = end;
    while (found >= 0 && next[found] !== found) found = next[found];
    // Path compression: shortens the next look-up.
    while (end > found) [next[end], end] = [found, next[end]];
    return found;
  }
}

/** The place after a param. It also records which ends of the param a search has tried. */
class ParamNode extends Node {
  readonly scanner: Scanner;
  /**
   * Whether starts come from high to low: neither this param nor one above it has a user-defined expression.
   */
  readonly regular: boolean;
  /** Whether nothing that follows can begin inside the param, so that only the farthest end can lead on. */
  farthestOnly = true;
  /** The next param that may come in the same place. */
  nextParam: ParamNode | null;
  /** The search that `untried` and `ends` belong to. */
  search = 0;
  /** The ends above this one that lower starts reach have been tried. */
  untried = 0;
  /** If the node is not regular, the ends that have not been tried. */
  ends: Ends | null = null;

  constructor(above: Node, part: { scanner: Scanner; first: number; regular: boolean }) {
    super(NO_LABEL, part.first);
    this.scanner = part.scanner;
    this.regular = part.regular;
    this.nextParam = above.param;
    above.param = this;
  }
}

/**
 * The node that a text leads to from the root, null if none, and the order of the first route with a param
 * that begins within the text.
 */
interface Head {
  readonly text: string | null;
  readonly node: Node | null;
  readonly paramsFirst: number;
}

/** Above every order; a small integer, which V8 compares without unboxing (10 ns of a search). */
const NONE = 2 ** 30 - 1;

const NO_HEAD: Head = { text: null, node: null, paramsFirst: NONE };

/**
 * The maximum number of code units that user-defined expressions may be run on in one search (measured: 3 to
 * 35 ms if they are simple). A path of 250 characters that is ambiguous everywhere, for a param that may
 * start and end anywhere, needs half of it.
 */
const MAX_READ = 10_000_000;
/**
 * The number added for each code unit of the path: a long path may well have a hundred places where a param
 * may end.
 */
const MAX_READ_PER_UNIT = 100;
/** The fixed cost of running an expression, in code units. */
const RUN_COST = 64;

/** Finds the first registered route that matches a path. */
export class Router {
  readonly #root = new Node(NO_LABEL, 0);
  /** The code units of all labels: one array per label would double the memory of the router. */
  #labels: Codes = new Uint16Array(256);
  #labelsEnd = 0;
  #search = 0;
  /** The path of the current search, from `#start` to `#end`, and the text before it. */
  #path: Codes = NO_CODES;
  #start = 0;
  #end = 0;
  #head = "";
  /**
   * The path as text, once an expression needs it, and the number of code units that expressions were run on.
   */
  #text: string | null = null;
  #hasRead = 0;
  #scratch: Codes = new Uint16Array(256);
  #best: Route | null = null;
  #bestOrder = NONE;
  /** The nodes that the known heads lead to. */
  readonly #heads = new Map<string, Head>();
  #lastHead = NO_HEAD;
  // Starts and ends of the params on the way to the current node.
  readonly #way: number[] = [];
  /** The starts and ends, in pairs, of the params of the route found last, as positions in its path. */
  readonly ends: number[] = [];

  /**
   * Adds a route. Routes must be added in their order.
   *
   * @returns The route that gets the events: an earlier one with the same pattern, apart from the names of
   * its params, or else `route` itself.
   */
  add(route: Route): Route {
    this.#heads.clear();
    this.#lastHead = NO_HEAD;
    let node = this.#root;
    let param: ParamNode | null = null;
    let regular = true;
    for (const part of route.parts) {
      if (typeof part === "string") {
        if (param?.scanner.holds(part.charCodeAt(0))) param.farthestOnly = false;
        node = this.#addLiteral(node, part, route.order);
        param = null;
      } else {
        if (param !== null) param.farthestOnly = false;
        const { scanner } = part.converter;
        regular &&= scanner.expression === null;
        param = node.param;
        while (param !== null && param.scanner !== scanner) param = param.nextParam;
        param ??= new ParamNode(node, { scanner, first: route.order, regular });
        node = param;
      }
    }
    return node.route ??= route;
  }

  /**
   * Finds the first registered route that matches `path`. Until the next search, `ends` has the positions of
   * its params.
   */
  find(path: string): Route | null {
    return this.#find("", this.#root, this.#codesOf(path), 0, path.length);
  }

  /**
   * Like `find` for `head` followed by `path` from `start` to `end`, without joining the two; `head` is one
   * of a few texts that most paths begin with. Returns undefined if a param that begins within `head` might
   * decide the search.
   */
  findAfter(head: string, path: Codes, start: number, end: number): Route | null | undefined {
    if (head !== this.#lastHead.text) this.#lastHead = this.#heads.get(head) ?? this.#headOf(head);
    const { node, paramsFirst } = this.#lastHead;
    const route = node === null ? null : this.#find(head, node, path, start, end);
    return paramsFirst < (route?.order ?? NONE) ? undefined : route;
  }

  /** Returns the code units of `text`, which are valid until the next call. */
  #codesOf(text: string): Codes {
    const { length } = text;
    if (length > this.#scratch.length) this.#scratch = new Uint16Array(2 * length);
    const codes = this.#scratch;
    for (let i = 0; i < length; i++) codes[i] = text.charCodeAt(i);
    return codes;
  }

  #headOf(head: string): Head {
    let node: Node = this.#root;
    let paramsFirst = NONE;
    for (let at = 0; at < head.length;) {
      for (let { param } = node; param !== null; param = param.nextParam) {
        paramsFirst = Math.min(paramsFirst, param.first);
      }
      const kid = node.kid(head.charCodeAt(at));
      const common = kid === null ? 0 : this.#commonLength(kid, head, at);
      if (kid === null || common < Math.min(kid.length, head.length - at)) {
        return { text: head, node: null, paramsFirst };
      }
      node = common < kid.length ? this.#split(node, kid, common) : kid;
      at += node.length;
    }
    // Heads that lead nowhere are not cached: there is no limit to their number.
    const found = { text: head, node, paramsFirst };
    this.#heads.set(head, found);
    return found;
  }

  #find(head: string, from: Node, path: Codes, start: number, end: number): Route | null {
    this.#search++;
    this.#head = head;
    this.#path = path;
    this.#start = start;
    this.#end = end;
    this.#text = null;
    this.#hasRead = 0;
    this.#best = null;
    this.#bestOrder = NONE;
    this.#visit(from, start, 0);
    return this.#best;
  }

  /** Searches for routes from `node` on, after `depth` params, with the path read up to `at`. */
  #visit(node: Node, at: number, depth: number): void {
    const path = this.#path, pathEnd = this.#end, labels = this.#labels;
    for (;;) {
      if (node.first >= this.#bestOrder) return;
      if (at === pathEnd && node.route !== null && node.route.order < this.#bestOrder) {
        this.#best = node.route;
        this.#bestOrder = node.route.order;
        for (let i = 0; i < 2 * depth; i++) this.ends[i] = this.#way[i];
      }
      for (let param = node.param; param !== null; param = param.nextParam) {
        this.#follow(param, at, depth);
      }
      if (at === pathEnd) return;
      const kid = node.kid(path[at]);
      if (kid === null) return;
      const { start, length } = kid;
      if (at + length > pathEnd) return;
      for (let i = 1; i < length; i++) {
        if (path[at + i] !== labels[start + i]) return;
      }
      at += length;
      node = kid;
    }
  }

  /** Tries the ends of a param that starts at `at`. */
  #follow(param: ParamNode, at: number, depth: number): void {
    if (param.first >= this.#bestOrder) return;
    if (!param.regular) {
      const { expression } = param.scanner;
      return expression === null
        ? this.#followInAnyOrder(param, at, depth)
        : this.#followExpression(param, expression, at, depth);
    }
    const path = this.#path;
    const { scanner } = param;
    const nearest = at + scanner.min;
    const stop = param.search === this.#search ? param.untried : this.#end;
    const farthest = scanner.reach(path, at, stop);
    if (farthest < nearest) return;
    param.search = this.#search;
    param.untried = nearest - 1;
    this.#way[2 * depth] = at;
    this.#way[2 * depth + 1] = farthest;
    this.#visit(param, farthest, depth + 1);
    if (param.farthestOnly) return;
    for (let end = farthest - 1; end >= nearest; end--) {
      if (param.first >= this.#bestOrder) return;
      if (scanner.accepts !== null && !scanner.accepts(path, end)) continue;
      this.#way[2 * depth + 1] = end;
      this.#visit(param, end, depth + 1);
    }
  }

  /** Like `#follow`, if starts come in any order. */
  #followInAnyOrder(param: ParamNode, at: number, depth: number): void {
    const path = this.#path;
    const { scanner } = param;
    const nearest = at + scanner.min;
    const ends = this.#endsOf(param);
    const stop = nearest <= param.untried ? param.untried : this.#end;
    const farthest = scanner.reach(path, at, stop);
    if (farthest < nearest) return;
    param.untried = nearest - 1;
    this.#way[2 * depth] = at;
    for (let end = ends.highest(farthest); end >= nearest; end = ends.highest(end)) {
      if (param.first >= this.#bestOrder) return;
      ends.delete(end);
      if (!this.#canGoOn(param, end)) continue;
      if (scanner.accepts !== null && !scanner.accepts(path, end)) continue;
      this.#way[2 * depth + 1] = end;
      this.#visit(param, end, depth + 1);
    }
  }

  /** Like `#follow`, if a user-defined expression determines the ends. */
  #followExpression(param: ParamNode, expression: Expression, at: number, depth: number): void {
    const isFirst = param.search !== this.#search;
    const ends = this.#endsOf(param);
    // Skipped for the first start: most searches have a single start and a single possible end.
    if (!isFirst && !expression.mayBegin(this.#read(at, this.#end))) return;
    this.#way[2 * depth] = at;
    for (let end = ends.highest(this.#end); end >= at; end = ends.highest(end - 1)) {
      if (param.first >= this.#bestOrder) return;
      if (!this.#canGoOn(param, end)) {
        ends.delete(end);
        continue;
      }
      // If it does not match, the end may still be one of another start.
      if (!expression.matches(this.#read(at, end))) continue;
      ends.delete(end);
      this.#way[2 * depth + 1] = end;
      this.#visit(param, end, depth + 1);
    }
  }

  /** Returns the ends of `param` that have not been tried. */
  #endsOf(param: ParamNode): Ends {
    const ends = param.ends ??= new Ends();
    if (param.search !== this.#search) {
      param.search = this.#search;
      param.untried = -1;
      ends.reset(this.#end);
    }
    return ends;
  }

  /**
   * Returns the text that an expression is to be run on.
   *
   * @throws {PathParamsError} The texts of this search exceed the limit.
   */
  #read(start: number, end: number): string {
    this.#text ??= textOf(this.#path, this.#start, this.#end);
    this.#hasRead += end - start + RUN_COST;
    if (this.#hasRead > MAX_READ + MAX_READ_PER_UNIT * this.#text.length) {
      throw tooMuchToRead(this.#head + this.#text);
    }
    return this.#text.slice(start - this.#start, end - this.#start);
  }

  /** Whether visiting `node` at `at` can find anything; cheaper than running a user-defined expression. */
  #canGoOn(node: Node, at: number): boolean {
    return node.param !== null ||
      (at === this.#end ? node.route !== null : node.kid(this.#path[at]) !== null);
  }

  /** Adds `text` below `node`, and returns the node it leads to. */
  #addLiteral(node: Node, text: string, order: number): Node {
    for (let at = 0; at < text.length;) {
      const kid = node.kid(text.charCodeAt(at));
      if (kid === null) {
        const leaf = new Node(this.#addLabel(text, at), order);
        node.addKid(leaf);
        return leaf;
      }
      const common = this.#commonLength(kid, text, at);
      node = common < kid.length ? this.#split(node, kid, common) : kid;
      at += common;
    }
    return node;
  }

  /** Adds a label: `text` from `from` on. */
  #addLabel(text: string, from: number): { start: number; length: number; code: number } {
    const start = this.#labelsEnd, length = text.length - from;
    if (start + length > this.#labels.length) {
      const before = this.#labels;
      this.#labels = new Uint16Array(2 * (start + length));
      this.#labels.set(before);
    }
    for (let i = 0; i < length; i++) this.#labels[start + i] = text.charCodeAt(from + i);
    this.#labelsEnd += length;
    return { start, length, code: text.charCodeAt(from) };
  }

  /** Returns the length of the common prefix of the label of `node` and `text` from `at` on. */
  #commonLength({ start, length }: Node, text: string, at: number): number {
    const most = Math.min(length, text.length - at);
    let common = 0;
    while (common < most && this.#labels[start + common] === text.charCodeAt(at + common)) common++;
    return common;
  }

  #split(above: Node, kid: Node, length: number): Node {
    return above.splitKid(kid, length, this.#labels[kid.start + length]);
  }
}
