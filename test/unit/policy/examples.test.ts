import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createKit, testPolicies } from '../../../src/index.ts';
import { requireTests } from '../../../src/operations/policy/test.ts';

const EXAMPLES = join(import.meta.dirname, '..', '..', '..', 'examples', 'policies');
const GOLDEN = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'golden', 'cosign-bundle');
const kit = createKit({ home: '/nonexistent', env: {} });

const cases = await testPolicies(kit, [EXAMPLES]);

test('every example has its tests', () => {
  const files = new Set(cases.map(({ file }) => file.slice(EXAMPLES.length + 1)));
  expect([...files]).toEqual(['kserve-storage_test.yaml', 'no-pickle_test.yaml', 'sbom-present_test.yaml', 'signed-by-ci_test.yaml']);
});

test.each(cases)('$file: $name', ({ passed, message }) => {
  expect(message).toBeUndefined();
  expect(passed).toBe(true);
});

async function run(text: string): ReturnType<typeof testPolicies> {
  const folder = await mkdtemp(join(tmpdir(), 'kit-policy-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await writeFile(
    join(folder, 'p.yaml'),
    'version: 1\nname: p\nconditions: [{ name: a, path: a, equals: 1 }, { name: b, path: b, equals: 1 }]\n',
  );
  await writeFile(join(folder, 'in.yaml'), 'kind: List\nitems: [{ a: 1, b: 1 }, { a: 1, b: 2 }]\n');
  await writeFile(join(folder, 'empty.yaml'), 'kind: List\nitems: []\n');
  await writeFile(join(folder, 'p_test.yaml'), `version: 1\npolicy: p.yaml\ncases: [${text}]\n`);
  return await testPolicies(kit, [folder]);
}

describe('tests that fail', () => {
  test.each([
    ['{ name: n, input: { a: 1 }, expect: pass }', 'conditions.b: b is missing or empty'],
    ['{ name: n, input: { a: 1, b: 1 }, expect: fail }', 'every rule holds, and one was expected to be broken'],
    ['{ name: n, input: { a: 1 }, expect: fail, broken: [conditions.a] }', 'broken are conditions.b, expected were conditions.a'],
    ['{ name: n, input: {}, expect: fail, broken: [conditions.a] }', 'broken are conditions.a, conditions.b, expected were conditions.a'],
    ['{ name: n, inputFile: in.yaml, expect: pass }', 'conditions.b: b is `2`, not `1`'],
    [`{ name: n, artifact: 'oci:${GOLDEN}:v1', expect: fail, broken: [x] }`, 'broken are conditions.a, conditions.b, expected were x'],
  ])('%s', async (text, message) => {
    const found = await run(text);
    expect(found).toMatchObject([{ name: 'n', passed: false, message }]);
    expect(() => requireTests(found)).toThrowError(expect.objectContaining({ code: 'POLICY_TEST_FAILED' }));
  });

  test.each([
    ['{ name: n, expect: pass }', 'a case with one of input, inputFile, artifact'],
    ['{ name: n, input: 1, inputFile: x, expect: pass }', 'a case with one of input, inputFile, artifact'],
    ['{ name: n, input: 1, expect: pass, broken: [a] }', 'expects `fail`'],
    ['{ name: n, input: 1, expected: pass }', 'unknown field `expected`'],
  ])('%s is none', async (text, message) => {
    await expect(run(text)).rejects.toMatchObject({ code: 'POLICY_INVALID', message: expect.stringContaining(message) as string });
  });

  test('an empty list as input of a case: it would hold whatever the policy says', async () => {
    await expect(run('{ name: n, inputFile: empty.yaml, expect: pass }')).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: 'empty.yaml is an empty list: the case would hold whatever the policy says',
    });
  });

  test('a folder without any', async () => {
    await expect(testPolicies(kit, [join(EXAMPLES, 'inference-services')])).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });
});
