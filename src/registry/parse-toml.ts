import { parse, TomlError } from 'smol-toml';
import { KitError } from '../errors.ts';

/** @throws KitError CONFIG_INVALID with line and column */
export function parseToml(text: string, file: string, hint?: string): unknown {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const what = cause.message.split('\n', 1)[0]?.replace(/^Invalid TOML document: /, '') ?? '';
    throw new KitError('CONFIG_INVALID', `${file}:${cause.line}:${cause.column}: ${what}`, hint === undefined ? {} : { hint });
  }
}
