import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { createKit } from '../../../src/index.ts';
import { judgeDocument } from '../../../src/operations/policy/policy.ts';
import { openPolicy } from '../../../src/operations/policy/open.ts';
import { evaluateWasm } from '../../../src/operations/policy/rego-thread.ts';
import { regoVerdicts } from '../../../src/policy/rego.ts';

const FIXTURES = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'policies');
const EXAMPLES = join(import.meta.dirname, '..', '..', '..', 'examples', 'policies');
const kit = createKit({ home: '/nonexistent', env: { PATH: process.env['PATH'] } });
const fixture = (name: string): string => join(FIXTURES, name);

async function verdicts(file: string, document: unknown): Promise<Record<string, string | undefined>[]> {
  const { rules } = await judgeDocument(kit, await openPolicy(file), document, {});
  return rules.map(({ rule, passed, message }) => ({ [rule]: passed ? 'held' : message }));
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'kit-rego-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

const GOOD = {
  files: [{ path: 'model.safetensors' }],
  signatures: [{ digest: 'sha256:s', accepted: true }],
  kitfile: { package: { license: 'MIT' } },
};

describe('what rules in Rego say', () => {
  test.each<[Record<string, unknown>, Record<string, string | true>[]]>([
    [{ 'a/deny': [] }, [{ 'r.deny': true }]],
    [{ 'a/deny': ['one', { msg: 'two' }] }, [{ 'r.deny': 'one' }, { 'r.deny': 'two' }]],
    [{ 'a/deny': [3] }, [{ 'r.deny': '3' }]],
    [{ 'a/deny': { k: 'one' } }, [{ 'r.deny': 'one' }]],
    [{ 'a/deny': false }, [{ 'r.deny': true }]],
    [{ 'a/deny': true }, [{ 'r.deny': 'it is denied' }]],
    [{ 'a/violation': [{ message: 'one' }] }, [{ 'r.violation': 'one' }]],
    [{ 'a/allow': true }, [{ 'r.allow': true }]],
    [{ 'a/allow': false }, [{ 'r.allow': 'it is not allowed' }]],
    // not defined is not allowed, and a text is not true
    [{ 'a/allow': undefined }, [{ 'r.allow': 'it is not allowed' }]],
    [{ 'a/allow': 'true' }, [{ 'r.allow': 'it is not allowed' }]],
    [{ 'a/deny': undefined }, [{ 'r.deny': 'it gives nothing, so nothing shows that it holds' }]],
    [{ 'a/signed': true }, [{ 'r.signed': true }]],
    [{ 'a/signed': [] }, [{ 'r.signed': 'it gives a object, so nothing shows that it holds' }]],
    [{ a: { deny: [], allow: true, other: 1 } }, [{ 'r.deny': true }, { 'r.allow': true }]],
    [{ a: { other: 1 } }, [{ r: 'it has none of the rules deny, violation, allow' }]],
    [{}, [{ r: 'it has none of the rules deny, violation, allow' }]],
  ])('%j', (results, expected) => {
    expect(regoVerdicts('r', results).map(({ rule, passed, message }) => ({ [rule]: passed ? true : message }))).toEqual(expected);
  });

  test('messages without end', () => {
    const found = regoVerdicts('r', { 'a/deny': Array.from({ length: 1000 }, (_, index) => `m${index}`) });
    expect(found).toHaveLength(21);
    expect(found.at(-1)?.message).toBe('and 980 more');
  });
});

describe('a bundle', () => {
  test('its rules and its data', async () => {
    expect(await verdicts(fixture('release.tar.gz'), GOOD)).toEqual([{ 'rego.release.deny': 'held' }, { 'rego.release.allow': 'held' }]);
    const bad = { files: [{ path: 'weights/größe ü.bin' }], kitfile: { package: { license: 'none' } } };
    expect(await verdicts(fixture('release.tar.gz'), bad)).toEqual([
      { 'rego.release.deny': 'it is not signed by anybody who is asked for' },
      { 'rego.release.deny': 'weights/größe ü.bin may not be in a release' },
      { 'rego.release.allow': 'it is not allowed' },
    ]);
  });

  test('one without a module', async () => {
    const file = join(await folder(), 'b.tar.gz');
    await writeFile(file, 'no gzip');
    await expect(openPolicy(file)).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining('is no bundle of OPA') as string,
    });
  });

  test('a policy in YAML names its entrypoints', async () => {
    const file = join(await folder(), 'p.yaml');
    await writeFile(file, `version: 1\nname: p\nrego: [{ file: ${fixture('release.tar.gz')}, entrypoints: [kit/allow], inputs: [] }]\n`);
    expect(await verdicts(file, GOOD)).toEqual([{ 'rego.release.allow': 'held' }]);
    await writeFile(file, `version: 1\nname: p\nrego: [{ file: ${fixture('release.tar.gz')}, entrypoints: [kit/nothing] }]\n`);
    await expect(verdicts(file, GOOD)).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  });
});

describe('a module that does harm', () => {
  test('takes too much memory', { timeout: 60_000 }, async () => {
    const wasm = await readFile(fixture('greedy.wasm'));
    await expect(evaluateWasm('greedy.wasm', { wasm }, '{}', { pages: 64 })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining('opa_malloc') as string,
    });
  });

  test('loops for ever, before its first rule', { timeout: 60_000 }, async () => {
    // (module (func (loop (br 0))) (start 0))
    const wasm = Buffer.from('0061736d01000000010401600000030201000801000a0901070003400c000b0b', 'hex');
    await expect(evaluateWasm('loop.wasm', { wasm }, '{}', { milliseconds: 500 })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: 'the policy loop.wasm cannot be evaluated: it takes longer than 0.5 s',
    });
  });

  test('is stopped with the command', { timeout: 60_000 }, async () => {
    const wasm = Buffer.from('0061736d01000000010401600000030201000801000a0901070003400c000b0b', 'hex');
    const abort = new AbortController();
    const running = evaluateWasm('loop.wasm', { wasm }, '{}', { signal: abort.signal });
    abort.abort(new Error('stopped'));
    await expect(running).rejects.toThrow('stopped');
  });

  test('asks for what the interpreter has not', async () => {
    await expect(verdicts(fixture('unknown-builtin.wasm'), { kitfile: { package: { version: '0.9.0' } } })).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining('semver.compare') as string,
    });
  });

  test('is none', async () => {
    await expect(evaluateWasm('x.wasm', { wasm: Buffer.from('text') }, '{}')).rejects.toMatchObject({ code: 'POLICY_INVALID' });
  });
});

function service(uri?: string) {
  return { kind: 'InferenceService', spec: { predictor: { model: uri === undefined ? {} : { storageUri: uri } } } };
}

test('the example in Rego says what the one in YAML says', async () => {
  const bundle = fixture('kserve-storage.tar.gz');
  expect(await verdicts(bundle, service('oci://registry.example.com/models/m:1'))).toEqual([{ 'rego.kserve-storage.deny': 'held' }]);
  expect(await verdicts(bundle, service('s3://bucket/m'))).toEqual([
    { 'rego.kserve-storage.deny': 's3://bucket/m is not in one of our registries' },
  ]);
  expect(await verdicts(bundle, service())).toEqual([{ 'rego.kserve-storage.deny': 'an InferenceService without a storageUri' }]);
});

test('without opa a file in Rego is refused, with the way to do without', async () => {
  const bare = createKit({ home: '/nonexistent', env: { PATH: '/nonexistent' } });
  const open = await openPolicy(join(EXAMPLES, 'kserve-storage.rego'));
  await expect(judgeDocument(bare, open, {}, {})).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    hint: expect.stringContaining('opa build -t wasm') as string,
  });
});

describe.skipIf(!hasOpa())('opa', () => {
  test('evaluates a file in Rego', async () => {
    const file = join(EXAMPLES, 'kserve-storage.rego');
    expect(await verdicts(file, { spec: { a: { storageUri: 's3://b' } } })).toEqual([
      { 'rego.kserve-storage.deny': 's3://b is not in one of our registries' },
    ]);
    expect(await verdicts(file, { spec: { a: { storageUri: 'oci://ghcr.io/example-team/m' } } })).toEqual([
      { 'rego.kserve-storage.deny': 'held' },
    ]);
    expect(await verdicts(file, { spec: { a: { storageUri: 'oci://ghcr.io/example-team/m', storage: { key: 'x' } } } })).toEqual([
      { 'rego.kserve-storage.deny': 'a model is named by a key of a storage secret, not by storageUri' },
    ]);
  });

  test('an allow that is not defined does not hold', async () => {
    const file = join(await folder(), 'p.rego');
    await writeFile(file, 'package a.b\n\nallow if input.x == 1\n\ndeny contains "no" if input.y\n');
    expect(await verdicts(file, {})).toEqual([{ 'rego.p.deny': 'held' }, { 'rego.p.allow': 'it is not allowed' }]);
    expect(await verdicts(file, { x: 1 })).toEqual([{ 'rego.p.deny': 'held' }, { 'rego.p.allow': 'held' }]);
  });

  test('says what is wrong', async () => {
    const file = join(await folder(), 'p.rego');
    await writeFile(file, 'package a\n\nallow {{\n');
    await expect(verdicts(file, {})).rejects.toMatchObject({
      code: 'POLICY_INVALID',
      message: expect.stringContaining('unexpected') as string,
    });
  });
});

function hasOpa(): boolean {
  try {
    execFileSync('opa', ['version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
