import type { OutputStream } from '../../../src/cli/render/output-stream.ts';

/** A row of the screen; `wrapped` when the one below continues it. */
interface Row {
  cells: string[];
  wrapped: boolean;
}

// what the display may send: a text, a line feed, a return, or one of its sequences
const ESCAPE = '\u001B';
const TOKEN = new RegExp(ESCAPE + String.raw`\[(?<parameters>[?\d;]*)(?<command>[A-Za-z])|(?<character>[\s\S])`, 'gu');

/** A terminal that does what the sequences of the display ask for, and throws on all others. Resizing breaks lines anew. */
export class VirtualTerminal implements OutputStream {
  readonly isTTY = true;
  columns: number;
  rows: number;
  /** Number of `write` calls. */
  writes = 0;
  isCursorShown = true;
  /** Cells of `…`: 2 where the terminal is set up for East Asia. */
  ellipsisWidth = 1;
  #lines: Row[] = [{ cells: [], wrapped: false }];
  #row = 0;
  #column = 0;
  #wraps = true;

  constructor(columns: number, rows: number) {
    this.columns = columns;
    this.rows = rows;
  }

  /** Everything that was printed, what scrolled away too, without empty rows at the end. */
  get text(): string {
    return this.#lines
      .map(({ cells }) =>
        Array.from(cells, (cell) => cell ?? ' ')
          .join('')
          .trimEnd(),
      )
      .join('\n')
      .trimEnd();
  }

  /** What is visible: the last rows. */
  get screen(): string[] {
    return this.#lines.slice(this.#top).map(({ cells }) => cells.join('').trimEnd());
  }

  write(text: string): void {
    this.writes++;
    for (const { groups } of text.matchAll(TOKEN)) {
      if (groups?.['character'] !== undefined) this.#put(groups['character']);
      else this.#obey(`${groups?.['parameters']}`, `${groups?.['command']}`);
    }
  }

  /** As most terminals do: lines that are too wide now continue in the next row; the cursor stays at its character. */
  resize(columns: number, rows: number): void {
    const lines: Row[] = [];
    let cursor = { row: 0, column: 0 };
    let whole: string[] = [];
    let cursorAt: number | undefined;
    for (const [index, { cells, wrapped }] of this.#lines.entries()) {
      if (index === this.#row) cursorAt = whole.length + this.#column;
      whole.push(...cells);
      if (wrapped) continue;
      if (cursorAt !== undefined) cursor = { row: lines.length + Math.floor(cursorAt / columns), column: cursorAt % columns };
      const count = Math.max(1, Math.ceil(whole.length / columns));
      for (let part = 0; part < count; part++)
        lines.push({ cells: whole.slice(part * columns, (part + 1) * columns), wrapped: part < count - 1 });
      whole = [];
      cursorAt = undefined;
    }
    this.#lines = lines;
    this.#row = cursor.row;
    this.#column = cursor.column;
    this.columns = columns;
    this.rows = rows;
    // rows below the screen are gone, as terminals do that keep the cursor in sight
    this.#lines.length = Math.min(this.#lines.length, Math.max(this.#row + 1, this.rows));
  }

  get #top(): number {
    return Math.max(0, this.#lines.length - this.rows);
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0;
    else if (character === '\n') {
      this.#column = 0;
      this.#down(false);
    } else if (/\p{Cc}/u.test(character)) throw new Error(`control character ${JSON.stringify(character)}`);
    else {
      // the second half of a wide character is a cell with nothing in it
      if (character === '…' && this.ellipsisWidth === 2) this.#putCell('');
      this.#putCell(character);
    }
  }

  #putCell(character: string): void {
    if (this.#column === this.columns) {
      if (this.#wraps) {
        this.#column = 0;
        this.#down(true);
      } else this.#column--;
    }
    this.#current.cells[this.#column++] = character;
  }

  #down(wrapped: boolean): void {
    this.#current.wrapped = wrapped;
    this.#row++;
    this.#lines[this.#row] ??= { cells: [], wrapped: false };
  }

  get #current(): Row {
    return (this.#lines[this.#row] ??= { cells: [], wrapped: false });
  }

  #obey(parameters: string, command: string): void {
    const sequence = parameters + command;
    if (command === 'm') return;
    if (sequence === '?25l' || sequence === '?25h') this.isCursorShown = sequence === '?25h';
    else if (sequence === '?7l' || sequence === '?7h') this.#wraps = sequence === '?7h';
    // it cannot leave the screen
    else if (/^[1-9]\d*A$/.test(sequence)) this.#row = Math.max(this.#top, this.#row - Number(parameters));
    else if (sequence === 'K' || sequence === 'J') {
      this.#current.cells.length = Math.min(this.#current.cells.length, this.#column);
      this.#current.wrapped = false;
      if (sequence === 'J') this.#lines.length = this.#row + 1;
    } else throw new Error(`sequence ${JSON.stringify(sequence)}`);
  }
}
