import type { Buffer } from "node:buffer";

/** The part of http-parser-js that the benchmark uses. */
export class HTTPParser {
  static readonly REQUEST: "REQUEST";
  static readonly kOnHeadersComplete: 1;
  static readonly kOnMessageComplete: 3;
  static readonly methods: string[];
  constructor(kind: "REQUEST");
  1: (info: { method: number; url: string; headers: string[] }) => void;
  3: () => void;
  execute(bytes: Buffer, start: number, length: number): number;
}
