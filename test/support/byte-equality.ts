import { expect } from 'vitest';

/** Equal bytes are seen at once: vitest would make a list of their indices first, which takes seconds for some MiB. What differs is left to it. */
function areEqualBytes(one: unknown, other: unknown): true | undefined {
  return Buffer.isBuffer(one) && Buffer.isBuffer(other) && one.equals(other) ? true : undefined;
}

expect.addEqualityTesters([areEqualBytes]);
