import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Digest } from '../../../src/oci/digest.ts';
import { type TagMove, timeAfter } from '../../../src/operations/history/move.ts';
import { earlierValues } from '../../../src/operations/history/moves.ts';

const digest = (letter: string): Digest => `sha256:${letter.repeat(64)}`;

interface Step {
  readonly kind: 'promotion' | 'rollback';
  readonly to: string;
}

/** What is known after the steps, newest first. */
function movesOf(steps: readonly Step[]): TagMove[] {
  return steps
    .map(({ kind, to }, index): TagMove => ({
      kind,
      digest: digest(to),
      previous: index === 0 ? undefined : digest(steps[index - 1]?.to ?? ''),
      when: new Date(index * 1000).toISOString(),
      by: 'x',
      from: undefined,
      evidence: 'record',
    }))
    .toReversed();
}

async function* each(moves: readonly TagMove[]): AsyncGenerator<TagMove, void, undefined> {
  yield* await Promise.resolve(moves);
}

async function earlier(text: string): Promise<string> {
  const steps = text
    .split(' ')
    .map((word): Step => (word.startsWith('-') ? { kind: 'rollback', to: word.slice(1) } : { kind: 'promotion', to: word }));
  const values = await Array.fromAsync(earlierValues(each(movesOf(steps))));
  return values.map((value) => value.digest.at(-1)).join(' ');
}

describe('what a tag was, nearest first', () => {
  test.each([
    ['promoted once', 'a', ''],
    ['promoted thrice', 'a b c', 'b a'],
    ['rolled back', 'a b c -b', 'a'],
    ['twice', 'a b c -b -a', ''],
    ['two steps at once', 'a b c -a', ''],
    ['promoted after it', 'a b -a c', 'a'],
    ['the same release again, later', 'a b a', 'b a'],
    ['and rolled back', 'a b a -b', 'a'],
    ['the bad one again after it was fixed elsewhere', 'a b -a b', 'a'],
    ['to where it never was: nothing is known', 'a b -f', ''],
    ['promoted from there', 'a b -f c', 'f'],
  ])('%s', async (_, steps, expected) => {
    expect(await earlier(steps)).toBe(expected);
  });

  test('is a stack: what was left by a rollback does not come back', async () => {
    const step = fc.record({ to: fc.constantFrom('a', 'b', 'c', 'd', 'e'), steps: fc.integer({ min: 0, max: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 20 }), async (choices) => {
        const steps: Step[] = [];
        const stack: string[] = [];
        for (const { to, steps: back } of choices) {
          const target = stack.at(-1 - back);
          if (back > 0 && target !== undefined && target !== stack.at(-1)) {
            // a rollback goes to where the tag last was such
            stack.length = stack.lastIndexOf(target) + 1;
            steps.push({ kind: 'rollback', to: target });
          } else if (to !== stack.at(-1)) {
            stack.push(to);
            steps.push({ kind: 'promotion', to });
          }
        }
        const values = await Array.fromAsync(earlierValues(each(movesOf(steps))));
        expect(values.map((value) => value.digest.at(-1))).toEqual(stack.slice(0, -1).toReversed());
      }),
      { numRuns: 300 },
    );
  });
});

test('a move is later than the one before, whatever its clock said', () => {
  const last = movesOf([{ kind: 'promotion', to: 'a' }])[0];
  expect(timeAfter(undefined, 5)).toBe('1970-01-01T00:00:00.005Z');
  expect(timeAfter(last, 5)).toBe('1970-01-01T00:00:00.005Z');
  expect(timeAfter(last && { ...last, when: '2030-01-01T00:00:00.000Z' }, 5)).toBe('2030-01-01T00:00:00.001Z');
});
