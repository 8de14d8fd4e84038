import { describe, expect, test } from 'vitest';
import { nextPage } from '../../../src/registry/listing.ts';
import { addEmptyManifest, connect, emptyManifest } from '../../support/registry-client.ts';

async function tagged(count: number, behaviour: NonNullable<Parameters<typeof connect>[0]>['behaviour'] = {}) {
  const connection = await connect({ behaviour: behaviour ?? {} });
  const names = Array.from({ length: count }, (_, index) => `v${String(index).padStart(3, '0')}`);
  for (const name of names) connection.registry.addManifest('team/model', emptyManifest(), name);
  return { ...connection, names };
}

describe('tags', () => {
  test.each([
    [5, 1],
    [6, 2],
    [12, 3],
  ])('%i tags on pages of 5 are %i requests', async (count, requests) => {
    const { target, registry, names } = await tagged(count, { tagPageSize: 5 });
    expect(await Array.fromAsync(target.can.tags?.() ?? [])).toEqual(names);
    expect(registry.requests).toHaveLength(requests);
  });

  test('are read no further than asked', async () => {
    const { target, registry } = await tagged(12, { tagPageSize: 5 });
    for await (const tag of target.can.tags?.() ?? []) if (tag === 'v002') break;
    expect(registry.requests).toHaveLength(1);
  });

  test('whose pages lead back are refused', async () => {
    const { target } = await tagged(12, { tagPageSize: 5, tagLinks: 'loop' });
    await expect(Array.fromAsync(target.can.tags?.() ?? [])).rejects.toMatchObject({
      code: 'REGISTRY_ERROR',
      message: expect.stringContaining('does not end') as unknown,
    });
  });

  test('of a repository that does not exist', async () => {
    const { target } = await connect();
    await expect(Array.fromAsync(target.can.tags?.() ?? [])).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      message: expect.stringContaining('the repository does not exist') as unknown,
    });
  });

  test.each(['{"tags":null}', '{}'])('an empty list may look like %s', async (body) => {
    const { target, registry } = await connect();
    registry.behaviour.faults.push({ status: 200, body });
    expect(await Array.fromAsync(target.can.tags?.() ?? [])).toEqual([]);
  });

  test.each(['[]', 'null', '{"tags":"v1"}', '{"tags":[1]}', '<html>', '{"tags":["../../etc"]}', '{"tags":["\\u001b[2J"]}'])(
    '%s is refused',
    async (body) => {
      const { target, registry } = await connect();
      registry.behaviour.faults.push({ status: 200, body });
      await expect(Array.fromAsync(target.can.tags?.() ?? [])).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
    },
  );
});

describe('the catalog', () => {
  test('names repositories', async () => {
    const { client, registry } = await connect();
    await addEmptyManifest(registry, 'v1');
    await registry.addBlob('other', Buffer.from('x'));
    expect(await Array.fromAsync(client.catalog(registry.host))).toEqual(['other', 'team/model']);
  });

  test('that the registry lacks', async () => {
    const { client, registry } = await connect();
    registry.behaviour.faults.push({ status: 404, body: 'not here' });
    await expect(Array.fromAsync(client.catalog(registry.host))).rejects.toMatchObject({ code: 'REGISTRY_ERROR' });
  });
});

describe('Link', () => {
  const current = new URL('https://r.example/v2/a/tags/list?n=5');
  test.each([
    ['</v2/a/tags/list?n=5&last=v5>; rel="next"', 'https://r.example/v2/a/tags/list?n=5&last=v5'],
    ['<?last=v5>;rel=next', 'https://r.example/v2/a/tags/list?last=v5'],
    ['<http://internal:5000/v2/a/tags/list?last=v5>; rel="next"', 'https://r.example/v2/a/tags/list?last=v5'],
    ['</prev>; rel="prev", </v2/next>; title="x"; rel="next"', 'https://r.example/v2/next'],
    ['</prev>; rel="prev"', undefined],
    ['nonsense', undefined],
    [undefined, undefined],
  ])('%s', (link, expected) => {
    expect(nextPage(link, current)?.href).toBe(expected);
  });
});
