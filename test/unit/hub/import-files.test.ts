import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseLocation } from '../../../src/oci/reference.ts';
import { importModel, type ImportArguments, type ImportResult } from '../../../src/operations/import/import.ts';
import { unpack } from '../../../src/operations/unpack/unpack.ts';
import { type Workspace, workspace } from '../operations/sandbox.ts';

const TAG = parseLocation('m:v1');
const FILES = { 'in/model.gguf': Buffer.alloc(9000, 5), 'in/README.md': '# hi\n', 'in/config/a.json': '{}' };

async function run(space: Workspace, args: ImportArguments): Promise<ImportResult> {
  return await importModel(space.kit, { destination: TAG, ...args }, space.call);
}

async function requireUnpacked(space: Workspace): Promise<void> {
  await unpack(space.kit, { source: TAG, directory: space.path('out') });
  for (const [name, content] of Object.entries(FILES))
    expect(readFileSync(space.path('out', name.slice('in/'.length))).equals(Buffer.from(content)), name).toBe(true);
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A file, by range or as a whole. */
const file =
  (content: Buffer, headers: Readonly<Record<string, string>> = {}): RequestListener =>
  (request, response) => {
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    if (first === undefined) return void response.writeHead(200, { ...headers, 'content-length': content.byteLength }).end(content);
    const end = last ? Math.min(Number(last) + 1, content.byteLength) : content.byteLength;
    response
      .writeHead(206, { ...headers, 'content-range': `bytes ${first}-${end - 1}/${content.byteLength}` })
      .end(content.subarray(Number(first), end));
  };

describe('a directory', () => {
  test.each(['tar', 'raw'] as const)('with %s layers', async (layerFormat) => {
    const space = workspace();
    space.write(FILES);
    const { kitfile } = await run(space, { source: space.path('in'), layerFormat });
    expect(kitfile.model).toMatchObject({ path: 'model.gguf', format: 'gguf' });
    await requireUnpacked(space);
  });

  test('with a link out of it is refused', async () => {
    const space = workspace();
    space.write(FILES);
    symlinkSync('/etc/hostname', space.path('in/host'));
    await expect(run(space, { source: space.path('in') })).rejects.toMatchObject({ code: 'PATH_UNSUPPORTED' });
  });

  test('that is not there is named', async () => {
    await expect(run(workspace(), { source: './nothing' })).rejects.toMatchObject({
      code: 'PATH_NOT_FOUND',
      message: expect.stringContaining('./nothing') as string,
    });
  });
});

function archive(space: Workspace, name: string, flags: string, from: string, what: string): string {
  space.write(FILES);
  execFileSync('tar', [flags, space.path(name), '-C', space.path(from), what]);
  return space.path(name);
}

describe('an archive', () => {
  test.each([
    ['a.tar', '-cf', 'in', '.'],
    ['a.tar.gz', '-czf', 'in', '.'],
    ['wrapped-1.0.tgz', '-czf', '.', 'in'],
  ])('%s', async (name, flags, from, what) => {
    const space = workspace();
    await run(space, { source: archive(space, name, flags, from, what) });
    await requireUnpacked(space);
    expect(readdirSync(space.path('home/cache')).filter((entry) => entry.startsWith('import-'))).toEqual([]);
  });

  test('of a web server, which does not say how large it is', async () => {
    const space = workspace();
    const content = readFileSync(archive(space, 'a.tar.gz', '-czf', 'in', '.'));
    const url = await serve((_, response) => void response.writeHead(200).end(content));
    const { source } = await run(space, { source: `${url}/a.tar.gz?sig=secret` });
    expect(source).toBe(`${url}/a.tar.gz?sig=...`);
    await requireUnpacked(space);
  });

  test('that is damaged, or holds a link, leaves nothing', async () => {
    const space = workspace();
    const whole = archive(space, 'a.tar.gz', '-czf', 'in', '.');
    space.write({ 'cut.tar.gz': readFileSync(whole).subarray(0, 100) });
    mkdirSync(space.path('bad'));
    symlinkSync('/etc/passwd', space.path('bad/link'));
    execFileSync('tar', ['-cf', space.path('link.tar'), '-C', space.path('bad'), '.']);
    await expect(run(space, { source: space.path('cut.tar.gz') })).rejects.toMatchObject({ code: 'LAYER_INVALID' });
    await expect(run(space, { source: space.path('link.tar') })).rejects.toMatchObject({ code: 'UNSAFE_ENTRY' });
    expect(readdirSync(space.path('home/cache')).filter((entry) => entry.startsWith('import-'))).toEqual([]);
  });
});

describe('a file of a web server', () => {
  const content = Buffer.alloc(50_000, 6);

  test.each(['tar', 'raw'] as const)('with %s layers, straight from there', async (layerFormat) => {
    const space = workspace();
    const url = await serve(file(content));
    const { kitfile } = await run(space, { source: `${url}/models/tiny.gguf`, layerFormat });
    expect(kitfile.model).toMatchObject({ name: 'tiny', path: 'tiny.gguf', format: 'gguf' });
    await unpack(space.kit, { source: TAG, directory: space.path('out') });
    expect(readFileSync(space.path('out/tiny.gguf')).equals(content)).toBe(true);
  });

  test('takes the token to its host only', async () => {
    const seen: (string | undefined)[] = [];
    const other = await serve((request, response) => {
      seen.push(request.headers.authorization);
      file(content)(request, response);
    });
    const asked: (string | undefined)[] = [];
    const url = await serve((request, response) => {
      asked.push(request.headers.authorization);
      response.writeHead(302, { location: `${other}/tiny.gguf` }).end();
    });
    await run(workspace(), { source: `${url}/tiny.gguf`, token: 'abc' });
    expect(new Set(asked)).toEqual(new Set(['Bearer abc']));
    expect(new Set(seen)).toEqual(new Set([undefined]));
  });

  test('that is not there, or of no size, is named', async () => {
    const url = await serve((request, response) => void response.writeHead(request.url?.includes('none') === true ? 404 : 200).end());
    await expect(run(workspace(), { source: `${url}/none.gguf` })).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    const chunked = await serve((_, response) => {
      response.writeHead(200).write('x');
      response.end();
    });
    await expect(run(workspace(), { source: `${chunked}/x.gguf` })).rejects.toMatchObject({ code: 'UNSUPPORTED' });
  });

  test('that changes between the requests for it is refused', async () => {
    let version = 0;
    const large = Buffer.alloc(6_000_000, 1);
    const url = await serve((request, response) => {
      const headers = { etag: `"${version}"`, 'content-length': String(large.byteLength) };
      if (request.headers.range === 'bytes=0-0') {
        file(large, { etag: '"0"' })(request, response);
        return;
      }
      version += 1;
      if (version > 1) {
        file(large, { etag: `"${version}"` })(request, response);
        return;
      }
      response.writeHead(200, headers);
      response.write(large.subarray(0, 1_000_000), () => response.destroy());
    });
    await expect(run(workspace(), { source: `${url}/big.gguf` })).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });
});

describe('a name', () => {
  test('of no known scheme is refused', async () => {
    await expect(run(workspace(), { source: 'gopher://example.com/x' })).rejects.toMatchObject({ code: 'REFERENCE_INVALID' });
  });

  test('with a revision, of something that has none, is refused', async () => {
    await expect(run(workspace(), { source: './x', revision: 'v1' })).rejects.toMatchObject({ code: 'USAGE' });
  });
});
