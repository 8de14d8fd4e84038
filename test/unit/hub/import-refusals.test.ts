import { describe, expect, test } from 'vitest';
import { parseLocation } from '../../../src/oci/reference.ts';
import { importModel } from '../../../src/operations/import/import.ts';
import { inspect } from '../../../src/operations/inspect/inspect.ts';
import { createKit } from '../../../src/operations/kit.ts';
import { MODEL, setup } from './setup.ts';

describe('a listing', () => {
  test('of many pages is read to its end', async () => {
    const files = Object.fromEntries(Array.from({ length: 45 }, (_, index) => [`data/part-${index}.csv`, `row ${index}\n`]));
    const { run, hub } = await setup([{ type: 'dataset', id: 'acme/many', files }]);
    hub.behaviour.pageSize = 10;
    const { layers } = await run({ source: 'datasets/acme/many', layerFormat: 'raw' });
    expect(layers).toHaveLength(45);
    expect(hub.requests.filter(({ path }) => path.includes('/tree/'))).toHaveLength(5);
  });

  test.each([
    ['leaves the directory', '../../etc/passwd'],
    ['is absolute', '/etc/passwd'],
    ['odd path', 'a//b'],
  ])('with a path that %s is refused', async (_, path) => {
    const { run } = await setup([{ id: 'evil/model', files: { [path]: 'x' } }]);
    await expect(run({ source: 'evil/model' })).rejects.toThrow(/path/);
  });

  test.each([
    ['another host', () => ({ link: '<http://other.example/api?x>; rel="next"' }), []],
    ['no list', () => ({}), { error: 'x' }],
    ['an LFS id that is no digest', () => ({}), [{ type: 'file', path: 'a', oid: 'x', size: 1, lfs: { oid: '../../x', size: 1 } }]],
    ['a size below nothing', () => ({}), [{ type: 'file', path: 'a', oid: 'x', size: -1 }]],
    [
      'one path twice',
      () => ({}),
      [
        { type: 'file', path: 'a', size: 1 },
        { type: 'file', path: 'a', size: 1 },
      ],
    ],
  ])('that gives %s is refused', async (_, headers, body) => {
    const { run, hub } = await setup();
    hub.behaviour.intercept = (request, response) => {
      if (request.url?.includes('/tree/') !== true) return false;
      response.writeHead(200, headers()).end(JSON.stringify(body));
      return true;
    };
    await expect(run({})).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  });
});

describe('content', () => {
  test.each(['tar', 'raw'] as const)('that is not what LFS names is refused, as %s layer', async (layerFormat) => {
    const { run, hub, kit } = await setup();
    hub.behaviour.tamper = (path, content) =>
      path === 'model-00002-of-00002.safetensors' ? Buffer.from(content).fill(0, 100, 101) : content;
    await expect(run({ layerFormat })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' });
    await expect(inspect(kit, parseLocation('acme/tiny-7b'), 'local')).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test.each(['tar', 'raw'] as const)('of a small file that is not what git names is refused, as %s layer', async (layerFormat) => {
    const { run, hub } = await setup();
    hub.behaviour.tamper = (path, content) => (path === 'sub/dir/vocab.txt' ? Buffer.from('a\nc\n') : content);
    await expect(run({ layerFormat })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: expect.stringContaining('sub/dir/vocab.txt') as string,
    });
  });

  test('that breaks off goes on where it stopped', async () => {
    const { run, hub } = await setup();
    let cut = 0;
    hub.behaviour.intercept = (request, response, origin) => {
      if (origin !== 'cdn' || cut > 1 || request.headers.range !== undefined) return false;
      cut += 1;
      const content = Buffer.from(MODEL.files['model-00001-of-00002.safetensors'] ?? '');
      if (request.url?.includes('00001') !== true) return false;
      response.writeHead(200, { 'content-length': content.byteLength });
      response.write(content.subarray(0, 400_000), () => response.destroy());
      return true;
    };
    await run({ layerFormat: 'raw' });
    expect(hub.requests.filter(({ range }) => range !== undefined).length).toBeGreaterThan(0);
  });

  test('is asked for again when the hub is busy', async () => {
    const { run, hub } = await setup();
    const busy = new Set<string>();
    hub.behaviour.intercept = (request, response) => {
      const path = request.url ?? '';
      if (busy.has(path)) return false;
      busy.add(path);
      response.writeHead(path.includes('/tree/') ? 429 : 503, { 'retry-after': '1' }).end();
      return true;
    };
    await run({});
    expect(busy.size).toBeGreaterThan(5);
  });
});

describe('a token', () => {
  test('opens a private repository, and is shown to the hub alone', async () => {
    const { run, hub } = await setup([{ ...MODEL, isPrivate: true }]);
    await expect(run({})).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND', hint: expect.stringContaining('HF_TOKEN') as string });
    hub.clear();
    await run({ token: hub.token });
    const seen = (origin: string): Set<string | undefined> =>
      new Set(hub.requests.filter((request) => request.origin === origin).map(({ authorization }) => authorization));
    expect(seen('hub')).toEqual(new Set([`Bearer ${hub.token}`]));
    expect(seen('cdn')).toEqual(new Set([undefined]));
  });

  test.each([
    ['HF_TOKEN', (token: string) => ({ HF_TOKEN: token })],
    ['the old variable', (token: string) => ({ HUGGING_FACE_HUB_TOKEN: token })],
  ])('is found in %s', async (_, env) => {
    const { run } = await setup([{ ...MODEL, isPrivate: true }], env('hf_secretTokenOfTheTests'));
    await expect(run({})).resolves.toMatchObject({ reference: 'acme/tiny-7b:latest' });
  });

  test('is found in the file that `hf auth login` writes, unless that is turned off', async () => {
    const { space, hub, run } = await setup([{ ...MODEL, isPrivate: true }]);
    space.write({ 'hf/token': `${hub.token}\n` });
    await expect(run({})).resolves.toBeDefined();
    const other = createKit({
      home: space.home,
      env: { HF_ENDPOINT: hub.url, HF_HOME: space.path('hf'), HF_HUB_DISABLE_IMPLICIT_TOKEN: '1' },
    });
    await expect(importModel(other, { source: 'Acme/Tiny-7B' })).rejects.toMatchObject({ code: 'REFERENCE_NOT_FOUND' });
  });

  test('that is missing for a gated repository is asked for, with the page of its license', async () => {
    const { run, hub } = await setup([{ ...MODEL, isGated: true }]);
    await expect(run({})).rejects.toMatchObject({ code: 'DENIED', hint: expect.stringContaining(`${hub.url}/Acme/Tiny-7B`) as string });
    await expect(run({ token: hub.token })).resolves.toBeDefined();
  });

  test('that is no token goes nowhere', async () => {
    const { run, hub } = await setup();
    await expect(run({ token: 'hf_a\r\nx-evil: 1' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(hub.requests).toEqual([]);
  });
});

describe('what the hub does not have', () => {
  test('is named', async () => {
    const { run } = await setup();
    await expect(run({ revision: 'v9' })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringContaining('v9') as string,
    });
    await expect(run({ source: 'acme/questions' })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      hint: expect.stringContaining('datasets/acme/questions') as string,
    });
    await expect(run({ source: 'Acme/Tiny-7B/nothing' })).rejects.toMatchObject({ code: 'FILTER_UNMATCHED' });
  });

  test.each(['a b/c', 'spaces/a/b', 'https://example.com/a/b', 'a/b--c/..', '-x/y'])('%s is no name', async (source) => {
    const { run } = await setup();
    await expect(run({ source, tool: 'hf' })).rejects.toMatchObject({
      code: expect.stringMatching(/REFERENCE_INVALID|UNSAFE_PATH/) as string,
    });
  });
});
