/** A file's header. */
import def, { a as b, c } from "./api";
import * as ns from "../ns";
import type { T } from "pkg";
const fs = require("fs");
export * from "./all";

export const LIMIT = 10;

/**
 * Sends it.
 * @param x what
 */
export async function send<T>(x: T, y = { a: 1 }): Promise<void> {
  await b(x);
  log(LIMIT);
}

export const arrow = async (n: number) => {
  const m = n + 1;
  return m;
};

@Injectable()
export class Session extends Base implements I {
  private x = 1;

  constructor(private a: A) {
    super();
    this.x = 2;
  }

  // Closes it.
  @log()
  async close(): Promise<void> {
    await this.a.close();
    return;
  }

  get size() { return 1; }
}

export interface I {
  name: string;
  run(x: number): void;
}
export enum E { A, B }
type U = string | number;
namespace N {
  export function inner() {
    return 1;
  }
}
