import { readFileSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { type HubRepository, startHub, type TestHub } from '../support/hub-server.ts';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry } from '../support/registry.ts';

const MODEL: HubRepository = {
  id: 'Acme/Tiny',
  files: {
    'README.md': '# Tiny\n',
    'config.json': '{"model_type":"llama"}',
    'model.safetensors': Buffer.alloc(40_000_000, 7),
  },
  info: { cardData: { license: 'mit' } },
};

async function setup(...repositories: HubRepository[]): Promise<{ hub: TestHub; box: Sandbox; env: Record<string, string> }> {
  const hub = await startHub(repositories.length === 0 ? [MODEL] : repositories);
  onTestFinished(() => hub.close());
  const box = await sandbox();
  return { hub, box, env: { HF_ENDPOINT: hub.url } };
}

test('import says what it saved and under which name', async () => {
  const { box, env } = await setup();
  const run = await box.kit('import Acme/Tiny --attestation-output statement.json', { env });
  // the address of the hub is part of the manifest
  expect({ ...run, stdout: run.stdout.replace(/(?<=Model saved: )sha256:\w{64}/, 'DIGEST') }).toMatchInlineSnapshot(`
    exit 0
    --- stdout
    Imported http://127.0.0.1:55555/Acme/Tiny at 1ca4b3a41be24422712cfaf4a146acdea3b878f0
    Saved model layer model.safetensors: sha256:4ad940b46e78…
    Saved modelpart layer config.json: sha256:4da08ef6b843…
    Saved docs layer README.md: sha256:e0b6487377ae…
    Model saved: DIGEST
    Tagged acme/tiny:latest
  `);
  expect(JSON.parse(readFileSync(box.path('statement.json'), 'utf8'))).toMatchObject({
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'acme/tiny:latest' }],
    predicateType: 'https://slsa.dev/provenance/v1',
  });
  expect(JSON.parse(await box.ok('import Acme/Tiny --attestation-output -', { env }))).toMatchObject({
    predicateType: 'https://slsa.dev/provenance/v1',
  });
  expect(await box.ok('unpack acme/tiny -d out')).toContain('Unpacking model');
  expect(await box.tree('out')).toEqual(['Kitfile', 'README.md', 'config.json', 'model.safetensors']);
});

test('init --remote shows the Kitfile, which import takes from standard input', async () => {
  const { hub, box, env } = await setup();
  const kitfile = await box.ok('init --remote Acme/Tiny', { env });
  expect(await box.ok('init --remote Acme/Tiny -o -', { env })).toBe(kitfile);
  expect(kitfile).toMatchInlineSnapshot(`
    "manifestVersion: 1.0.0
    package:
      name: Tiny
      authors: [Acme]
    model:
      name: Tiny
      path: model.safetensors
      license: MIT
      framework: transformers
      format: safetensors
      parts:
        - path: config.json
    docs:
      - path: README.md
        description: Readme file
    "
  `);
  expect(hub.requests.filter(({ origin }) => origin === 'cdn')).toEqual([]);
  await box.ok('import Acme/Tiny -f - -t mine:v1', { env, stdin: kitfile.replace('framework: transformers', 'framework: vllm') });
  expect(await box.ok('info mine:v1')).toContain('framework: vllm');
  await box.ok('init --remote Acme/Tiny -o Kitfile', { env });
  expect(readFileSync(box.path('Kitfile'), 'utf8')).toBe(kitfile);
  expect(await box.kit('init --remote Acme/Tiny -o Kitfile', { env })).toMatchObject({
    status: 1,
    stderr: expect.stringContaining('--force') as string,
  });
});

test('init --output writes another file, or none', async () => {
  const box = await sandbox();
  await box.write({ 'src/model.gguf': 'weights' });
  const shown = await box.ok('init src -o -');
  expect(shown).toContain('path: model.gguf');
  expect(await box.tree('src')).toEqual(['model.gguf']);
  expect(await box.ok('init src -o my.Kitfile')).toBe(`Generated Kitfile:\n\n${shown}\nSaved to path 'my.Kitfile'\n`);
  expect(readFileSync(box.path('my.Kitfile'), 'utf8')).toBe(shown);
  await box.write({ 'src/mix/a.csv': 'data', 'src/mix/b.py': 'code' });
  expect(await box.ok('init src -o - --depth 1')).toContain('- path: mix/a.csv');
  expect(await box.ok('init src -o - --depth=-1')).toContain('- path: mix/b.py');
  expect(await box.kit('init src -o - --depth deep')).toMatchObject({ status: 2 });
  expect(await box.kit('init src -o my.Kitfile')).toMatchObject({ status: 1, stderr: expect.stringContaining('my.Kitfile') as string });
});

test('import --push needs nothing here', async () => {
  const { box, env } = await setup();
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  const { digest } = JSON.parse(
    await box.ok(`import Acme/Tiny --push --layer-format raw --format json -t ${registry.host}/team/tiny:v1`, { env }),
  ) as {
    digest: string;
  };
  expect(await box.ok(`inspect --remote ${registry.host}/team/tiny:v1`)).toContain(digest);
  expect((await box.tree('.')).filter((path) => !path.startsWith('.cache'))).toEqual([]);
  expect(await box.kit('import Acme/Tiny --push', { env })).toMatchObject({ status: 2 });
});

test('an import that was killed goes on with what it has', async () => {
  const { hub, box, env } = await setup();
  hub.behaviour.intercept = (_request, response, origin) => {
    if (origin !== 'cdn') return false;
    // half of it, and then nothing
    response.writeHead(200, { 'content-length': 40_000_000 });
    response.write(Buffer.alloc(30_000_000, 7));
    return true;
  };
  const running = box.start('import Acme/Tiny --layer-format raw --progress json', { env });
  let seen = 0;
  await running.event((event) => {
    if (event['type'] === 'bytes' && String(event['id']).includes('model.safetensors')) seen += Number(event['delta']);
    return seen > 28_000_000;
  });
  running.child.kill('SIGKILL');
  await running.finished;
  hub.behaviour.intercept = undefined;
  hub.clear();
  await box.ok('import Acme/Tiny --layer-format raw', { env });
  const first = hub.requests.find(({ origin }) => origin === 'cdn');
  expect(Number(/^bytes=(\d+)-/.exec(first?.range ?? '')?.[1])).toBeGreaterThan(0);
});

test('what cannot be imported has the exit status of its kind', async () => {
  const { box, env } = await setup(MODEL, { ...MODEL, id: 'acme/gated', isGated: true });
  expect(await box.kit('import acme/gated', { env })).toMatchInlineSnapshot(`
    exit 4
    --- stderr
    error: acme/gated/config.json: it is gated: access has to be asked for (GET http://127.0.0.1:55555/acme/gated/resolve/457d76695bf6e314c1408a631605c895593f2346/config.json: 401 Access to model acme/gated is restricted. You must have access to it and be authenticated to access it.)

    hint: accept its license at http://127.0.0.1:55555/acme/gated, then pass a token by \`--token\` or $HF_TOKEN
  `);
  expect(await box.kit('import acme/nothing', { env })).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: acme/nothing: there is no such model at http://127.0.0.1:55555/acme/nothing, or it is private (GET http://127.0.0.1:55555/api/models/acme/nothing/revision/main: 401 Repository not found)

    hint: pass a token of an account that may read it by \`--token\` or $HF_TOKEN; a dataset is written datasets/acme/nothing
  `);
  expect(await box.kit('import Acme/Tiny --ref v9', { env })).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: Acme/Tiny: it has no revision \`v9\` (GET http://127.0.0.1:55555/api/models/Acme/Tiny/revision/v9: 404 Invalid rev id: v9)

    hint: http://127.0.0.1:55555/Acme/Tiny/commits lists its revisions; give one by \`--ref\`
  `);
  expect(await box.kit('import Acme/Tiny --include *.onnx', { env })).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: Acme/Tiny: no file matches \`*.onnx\`

    hint: its files: README.md, config.json, model.safetensors
  `);
  expect(await box.kit('import ./nothing', { env })).toMatchInlineSnapshot(`
    exit 3
    --- stderr
    error: ./nothing does not exist

    hint: \`ls <TMP>\` shows what there is
  `);
  expect(await box.kit('init . --ref main', { env })).toMatchInlineSnapshot(`
    exit 2
    --- stderr
    error: --ref needs --remote

    hint: \`kit init --help\` shows its arguments and options
  `);
});
