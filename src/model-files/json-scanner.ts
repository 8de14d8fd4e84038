import { isUtf8 } from 'node:buffer';
import { type KitError } from '../errors.ts';

const MAX_DEPTH = 16;
const MAX_WORD = 64;
/** Of one object: their names are kept while it is read. */
const MAX_MEMBERS = 600_000;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Reads JSON front to back, strictly, and tells where it breaks. `JSON.parse` would hide a name that comes twice, and would make
 * objects of all that a stranger nests.
 */
export class JsonScanner {
  readonly #bytes: Buffer;
  readonly #fail: (offset: number, why: string) => KitError;
  #at = 0;
  #skipped = 0;

  /** `fail` makes the error for an offset in `bytes`. */
  constructor(bytes: Buffer, fail: (offset: number, why: string) => KitError) {
    this.#bytes = bytes;
    this.#fail = fail;
  }

  get position(): number {
    return this.#at;
  }

  fail(why: string, offset = this.#at): KitError {
    return this.#fail(offset, why);
  }

  /** Calls `member` for each member, which has to read the value. Names may come once. */
  object(member: (key: string, offset: number) => void): void {
    const keys = new Set<string>();
    this.#list('{', '}', () => {
      const offset = this.#at;
      const key = this.string();
      if (keys.has(key)) throw this.fail(`the name ${JSON.stringify(key)} comes twice`, offset);
      if (keys.size >= MAX_MEMBERS) throw this.fail(`an object has more than ${MAX_MEMBERS} members`, offset);
      keys.add(key);
      this.#expect(':');
      member(key, offset);
    });
  }

  array(item: () => void): void {
    this.#list('[', ']', item);
  }

  string(): string {
    this.#expect('"');
    const start = this.#at;
    let hasEscapes = false;
    let isAscii = true;
    for (let byte = this.#bytes[this.#at]; byte !== QUOTE; byte = this.#bytes[this.#at]) {
      if (byte === undefined) throw this.fail('a text does not end', start);
      if (byte < 0x20) throw this.fail('a text has a control character');
      if (byte === BACKSLASH) hasEscapes = true;
      else if (byte >= 0x80) isAscii = false;
      this.#at += byte === BACKSLASH ? 2 : 1;
    }
    const end = this.#at;
    // what follows a backslash was not looked at
    if ((!isAscii || hasEscapes) && !isUtf8(this.#bytes.subarray(start, end))) throw this.fail('a text is not UTF-8', start);
    this.#at += 1;
    const text = this.#bytes.toString(isAscii && !hasEscapes ? 'latin1' : 'utf8', start, end);
    if (!hasEscapes) return text;
    try {
      const value = JSON.parse(`"${text}"`) as string;
      if (value.isWellFormed()) return value;
    } catch {
      // told below
    }
    throw this.fail('a text has an escape that means nothing', start);
  }

  /** A whole number from 0 to 2^53 - 1. */
  count(what: string): number {
    this.#space();
    const start = this.#at;
    while (this.#at - start < 17 && isDigit(this.#bytes[this.#at])) this.#at += 1;
    const digits = this.#bytes.toString('latin1', start, this.#at);
    const isWhole = /^(?:0|[1-9]\d{0,15})$/.test(digits) && Number.isSafeInteger(Number(digits));
    if (!isWhole || /[\d.eE+-]/.test(String.fromCharCode(this.#bytes[this.#at] ?? 0)))
      throw this.fail(`${what} is no whole number from 0 to 2^53`, start);
    return Number(digits);
  }

  /** Any value, which is of no interest. */
  skip(depth = 0): void {
    // no writer puts so much where no reader looks
    if (++this.#skipped > MAX_MEMBERS) throw this.fail(`more than ${MAX_MEMBERS} values that mean nothing here`);
    if (depth > MAX_DEPTH) throw this.fail(`values are nested more than ${MAX_DEPTH} deep`);
    switch (this.#peek()) {
      case '{':
        this.object(() => this.skip(depth + 1));
        break;
      case '[':
        this.array(() => this.skip(depth + 1));
        break;
      case '"':
        this.string();
        break;
      default:
        this.#word();
    }
  }

  /** Nothing but blanks may follow. */
  end(): void {
    this.#space();
    if (this.#at < this.#bytes.byteLength) throw this.fail('something follows the end');
  }

  #word(): void {
    const start = this.#at;
    while (isWord(this.#bytes[this.#at] ?? 0)) this.#at += 1;
    // no word is longer than the longest number that makes sense
    if (this.#at - start > MAX_WORD) throw this.fail('this is no JSON', start);
    if (!/^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?)$/.test(this.#bytes.toString('latin1', start, this.#at)))
      throw this.fail('this is no JSON', start);
  }

  #list(open: string, close: string, item: () => void): void {
    this.#expect(open);
    if (this.#peek() === close) {
      this.#at += 1;
      return;
    }
    for (;;) {
      item();
      const next = this.#peek();
      if (next !== ',' && next !== close) throw this.fail(`expected \`,\` or \`${close}\``);
      this.#at += 1;
      if (next === close) return;
    }
  }

  #expect(character: string): void {
    if (this.#peek() !== character) throw this.fail(`expected \`${character}\``);
    this.#at += 1;
  }

  #peek(): string {
    this.#space();
    return String.fromCharCode(this.#bytes[this.#at] ?? 0);
  }

  #space(): void {
    for (let byte = this.#bytes[this.#at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = this.#bytes[this.#at])
      this.#at += 1;
  }
}

/** Of a number, or of `true`, `false` and `null`. */
function isWord(byte: number): boolean {
  const letter = byte | 0x20;
  return isDigit(byte) || (letter >= 0x61 && letter <= 0x7a) || byte === 0x2b || byte === 0x2d || byte === 0x2e;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}
