import { linkSync, renameSync } from 'node:fs';
import { join } from 'node:path';

/** Renames that can be taken back: a failure half-way leaves everything as it was. */
export class Journal {
  readonly #replaced: string;
  readonly #undo: (() => void)[] = [];

  /** `replaced` is an empty directory on the same file system, for what is overwritten. */
  constructor(replaced: string) {
    this.#replaced = replaced;
  }

  /** Moves a file or directory to a name that is free. */
  move(from: string, to: string): void {
    renameSync(from, to);
    this.#undo.push(() => renameSync(to, from));
  }

  /** Moves a file over another, or over a link. */
  replace(from: string, to: string): void {
    const old = join(this.#replaced, String(this.#undo.length));
    try {
      // with a second name for the old file there is no moment without one
      linkSync(to, old);
    } catch {
      this.move(to, old);
      this.move(from, to);
      return;
    }
    this.#undo.push(() => renameSync(old, to));
    this.move(from, to);
  }

  /** Takes all back, the last first. What cannot be taken back stays. */
  undo(): void {
    for (const step of this.#undo.splice(0).toReversed()) {
      try {
        step();
      } catch {
        // the error that led here is the one to report
      }
    }
  }
}
