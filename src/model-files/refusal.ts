import { KitError } from '../errors.ts';

/** The error for a file that is not what it says; `offset` is the byte of the file where that shows. */
export function invalidFile(name: string, offset: number, why: string): KitError {
  return new KitError('LAYER_INVALID', `${name}: ${why} (at byte ${offset})`, {
    hint: 'the file is damaged, or was made to mislead: get it again from where it comes from',
  });
}

/** The same for one that asks for too much. */
export function beyondLimit(name: string, offset: number | undefined, why: string): KitError {
  return new KitError('LIMIT_EXCEEDED', `${name}: ${why}${offset === undefined ? '' : ` (at byte ${offset})`}`, {
    hint: 'no known model needs so much; the file is not read any further',
  });
}
