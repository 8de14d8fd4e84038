import type { OutputStream } from './output-stream.ts';

const HIDE_CURSOR = '\u001B[?25l';
const SHOW_CURSOR = '\u001B[?25h';
// whatever width the terminal gives a character, no line of ours becomes two
const WRAP_OFF = '\u001B[?7l';
const WRAP_ON = '\u001B[?7h';
const ERASE_LINE = '\u001B[K';
const ERASE_BELOW = '\u001B[J';

/**
 * Lines at the bottom of a terminal that are drawn over and over, and lines above them that stay.
 * The cursor rests at the beginning of the first: it stays there when the terminal is resized and breaks lines anew.
 */
export class LiveLines {
  readonly #stream: OutputStream;
  #shown = false;

  constructor(stream: OutputStream) {
    this.#stream = stream;
  }

  /** One write a call. Each of `lines` must be narrower than the terminal, all together no higher. */
  draw(above: readonly string[], lines: readonly string[]): void {
    let text = '';
    if (above.length > 0) text += `${this.#shown ? ERASE_BELOW : ''}${above.join('\n')}\n`;
    if (lines.length > 0) {
      if (!this.#shown) text += this.#begin();
      text += `${WRAP_OFF}${lines.join(`${ERASE_LINE}\n`)}${ERASE_BELOW}${WRAP_ON}\r`;
      if (lines.length > 1) text += `\u001B[${lines.length - 1}A`;
    } else if (this.#shown) text += this.#end();
    if (text !== '') this.#stream.write(text);
  }

  readonly clear = (): void => this.draw([], []);

  #begin(): string {
    this.#shown = true;
    // a second Ctrl-C, a crash: the cursor comes back all the same
    process.once('exit', this.clear);
    return HIDE_CURSOR;
  }

  #end(): string {
    this.#shown = false;
    process.off('exit', this.clear);
    return `${ERASE_BELOW}${SHOW_CURSOR}`;
  }
}
