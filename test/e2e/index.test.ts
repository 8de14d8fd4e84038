import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startRegistry } from '../support/registry.ts';
import { GOLDEN, type Sandbox, sandbox } from '../support/kit.ts';

/** Packs one file as its own ModelKit. */
async function pack(box: Sandbox, name: string, ...flags: string[]): Promise<string> {
  const file = name.slice(name.lastIndexOf(':') + 1);
  await box.write({
    [`in-${file}/${file}.bin`]: `weights ${file}`,
    [`in-${file}/Kitfile`]: `manifestVersion: 1.0.0\npackage:\n  name: indexed\nmodel:\n  path: ${file}.bin\n`,
  });
  return /Model saved: (sha256:\w+)/.exec(await box.ok(['pack', `in-${file}`, '-t', name, ...flags]))?.[1] ?? '';
}

const digestIn = (text: string): string => /sha256:\w{64}/.exec(text)?.[0] ?? '';

describe('as KitOps 1.17 has it', () => {
  test('entries of any format, chosen by all labels that are given', async () => {
    const box = await sandbox();
    await pack(box, 'test/model:q4_0');
    await pack(box, 'test/model:modelpack', '--use-model-pack');
    await pack(box, 'test/model:raw', '--layer-format', 'raw');
    expect(await box.ok('index create test/model:all')).toMatch(/^Created index test\/model:all \(digest sha256:\w{64}\)\n$/);
    await box.ok('index add test/model:all test/model:q4_0 -l quantization=q4_0 -l gpu=cuda');
    await box.ok('index add test/model:all test/model:modelpack -l quantization=q8_0 -l gpu=cuda');
    await box.ok('index add test/model:all test/model:raw -l quantization=q8_0 -l gpu=metal');
    const inspected = await box.ok('index inspect test/model:all');
    for (const type of ['kitops.modelkit.index', 'kitops.modelkit.manifest', 'cncf.model.manifest'])
      expect(inspected).toContain(`"artifactType": "application/vnd.${type}.v1+json"`);
    await box.ok('unpack test/model:all -l quantization=q8_0 -l gpu=cuda -d one');
    expect(await box.tree('one')).toEqual(['Kitfile', 'modelpack.bin']);
    await box.ok('unpack test/model:all -l gpu=metal -d two');
    expect(await box.tree('two')).toEqual(['Kitfile', 'raw.bin']);
    await box.ok('unpack test/model:all -l quantization=q4_0 --filter=kitfile -d three');
    expect(await box.tree('three')).toEqual(['Kitfile']);
    expect(await box.kit('unpack test/model:all -l gpu=cuda -d four')).toMatchInlineSnapshot(`
      exit 1
      --- stderr
      error: 2 artifacts of test/model:all have gpu=cuda:
        sha256:bff788478241… q4_0 (gpu=cuda, quantization=q4_0)
        sha256:c7fbd3116801… modelpack (gpu=cuda, quantization=q8_0)

      hint: add labels until one is left, or name it by its digest: REPOSITORY@DIGEST
    `);
    expect(await box.kit('unpack test/model:all -l quantization=q5 -d four')).toMatchInlineSnapshot(`
      exit 3
      --- stderr
      error: no artifact of test/model:all has quantization=q5; there is:
        sha256:bff788478241… q4_0 (gpu=cuda, quantization=q4_0)
        sha256:c7fbd3116801… modelpack (gpu=cuda, quantization=q8_0)
        sha256:6a05be0fcf4f… raw (gpu=metal, quantization=q8_0)

      hint: every label that is given must be there, with just that value
    `);
    expect(await box.kit('unpack test/model:all -d four')).toMatchInlineSnapshot(`
      exit 1
      --- stderr
      error: test/model:all is an index of 3 artifacts:
        sha256:bff788478241… q4_0 (gpu=cuda, quantization=q4_0)
        sha256:c7fbd3116801… modelpack (gpu=cuda, quantization=q8_0)
        sha256:6a05be0fcf4f… raw (gpu=metal, quantization=q8_0)

      hint: choose one: \`--label KEY=VALUE\`, where the command takes it, or name it by its digest: REPOSITORY@DIGEST
    `);
    expect(await box.kit('index info test/model:all')).toMatchInlineSnapshot(`
      exit 0
      --- stdout
      Index test/model:all (sha256:fe2147a8c696…)
      3 ModelKits:
      ORIGINAL REFERENCE     SIZE      LABELS              ANNOTATIONS   DIGEST
      test/model:q4_0        2.0 KiB   gpu=cuda            <none>        sha256:bff788478241…
                                       quantization=q4_0
      test/model:modelpack   17 B      gpu=cuda            <none>        sha256:c7fbd3116801…
                                       quantization=q8_0
      test/model:raw         11 B      gpu=metal           <none>        sha256:6a05be0fcf4f…
                                       quantization=q8_0
    `);
  });

  test('deleting keeps what another tag or repository has', async () => {
    const box = await sandbox();
    await pack(box, 'other/model:q4_0');
    const empty = digestIn(await box.ok('index create test/model:a'));
    await box.ok('index create test/model:b');
    await box.ok('index create other/model:all');
    expect(await box.ok('index delete test/model:a')).toContain('Untagged index test/model:a ');
    await box.ok('index add other/model:all other/model:q4_0');
    await box.ok('index info test/model:b');
    expect(await box.ok(`index delete test/model@${empty}`)).toContain('Deleted index test/model@');
    expect(await box.kit('index info test/model:b')).toMatchObject({ status: 3 });
    expect((await box.ok('index list')).split('\n').map((line) => line.replace(/ +sha256.*/, ''))).toEqual([
      expect.stringMatching(/^REPOSITORY +TAG +MODELKITS +DIGEST$/),
      'other/model   all   1',
      '',
    ]);
  });

  test('delete --all keeps what has a tag, unless forced, and never a ModelKit', async () => {
    const box = await sandbox();
    await pack(box, 'other/model:q4_0');
    await box.ok('index create test/model:all');
    await box.ok('index create other/model:all');
    await box.ok('index add other/model:all other/model:q4_0');
    expect(await box.kit('index delete --all test/model:all')).toMatchObject({ status: 2 });
    expect(await box.kit('index delete')).toMatchObject({ status: 2 });
    await box.ok('index delete --all');
    expect(await box.ok('index list')).toMatch(/^other\/model +all .*\ntest\/model +all /m);
    await box.ok('index delete --all --force');
    expect(await box.ok('index list --format json')).toBe('[]\n');
    expect(await box.ok('list')).toMatch(/^other\/model +q4_0 /m);
  });

  test('the size is the recorded one, and an entry goes by its digest when the ModelKit is gone', async () => {
    const box = await sandbox();
    const q4 = await pack(box, 'test/model:q4_0');
    const q8 = await pack(box, 'test/model:q8_0');
    await box.ok('index create test/model:all');
    await box.ok('index add test/model:all test/model:q4_0 -l quantization=q4_0');
    await box.ok('index add test/model:all test/model:q8_0');
    await box.ok('remove test/model:q8_0');
    expect(await box.ok('index info test/model:all')).toMatch(/^test\/model:q4_0 +2\.0 KiB +quantization=q4_0 +<none> +sha256:/m);
    expect(JSON.parse(await box.ok('index info test/model:all --format json'))).toMatchObject({
      reference: 'test/model:all',
      modelKits: [
        { reference: 'test/model:q4_0', digest: q4, size: 2048, labels: { quantization: 'q4_0' }, annotations: {} },
        { reference: 'test/model:q8_0', digest: q8, size: 2048, labels: {}, annotations: {} },
      ],
    });
    expect(await box.kit('index remove test/model:all test/model:q8_0')).toMatchObject({ status: 3 });
    await box.ok(`index remove test/model:all test/model@${q8}`);
    expect(await box.ok('index info test/model:all')).not.toContain(q8);
    expect(await box.kit(`index remove test/model:all ${q8}`)).toMatchObject({ status: 3 });
  });
});

test('through a registry: pushed, chosen there, pulled alone, with one variant, and whole', async () => {
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  const box = await sandbox();
  const name = `${registry.host}/team/model`;
  const q4 = await pack(box, `${name}:q4_0`);
  await pack(box, `${name}:q8_0`);
  await box.ok(`index create ${name}:all`);
  await box.ok(`index add ${name}:all ${name}:q4_0 -l quantization=q4_0`);
  await box.ok(`index add ${name}:all ${name}:q8_0 -l quantization=q8_0`);
  await box.ok(`index push ${name}:all`);
  await box.ok(`push ${name}:q4_0`);
  const there = { env: { KIT_HOME: box.path('there') } };
  expect(await box.ok(`index info --remote ${name}:all`, there)).toContain('2 ModelKits:');
  await box.ok(`unpack ${name}:all -l quantization=q8_0 -d out`, there);
  expect(await box.tree('out')).toEqual(['Kitfile', 'q8_0.bin']);
  expect(await box.ok(`cat ${name}:all q4_0.bin -l quantization=q4_0`, there)).toBe('weights q4_0');
  expect(await box.ok(`files ${name}:all -l quantization=q4_0`, there)).toContain('q4_0.bin');
  expect(await box.ok(`info --remote ${name}:all -l quantization=q4_0 --filter model.path`, there)).toBe('q4_0.bin\n');
  expect(await box.ok(`inspect --remote ${name}:all -l quantization=q4_0`, there)).toContain(`"digest": "${q4}"`);
  await box.ok(`index pull ${name}:all`, there);
  expect(await box.ok('list --format json', there)).toBe('[]\n');
  await box.ok(`pull ${name}:all -l quantization=q4_0`, there);
  expect(await box.ok('list', there)).toMatch(/team\/model +q4_0 /);
  await box.ok('store check', there);
  await box.ok(`pull ${name}:all`, there);
  expect((await box.ok('list', there)).split('\n')).toHaveLength(4);
  await box.ok(`copy ${name}:all oci:lay:all`, there);
  expect(await box.ok('inspect oci:lay:all -l quantization=q4_0', there)).toContain(`"digest": "${q4}"`);
});

test('only what is signed: the index or what is chosen from it', async () => {
  const registry = await startRegistry();
  onTestFinished(() => registry.close());
  const box = await sandbox();
  const name = `${registry.host}/team/model`;
  const env = { env: { COSIGN_PASSWORD: '' } };
  await box.ok('generate-key-pair', env);
  await pack(box, `${name}:a`);
  await pack(box, `${name}:b`);
  await box.ok(`index create ${name}:all`);
  await box.ok(`index add ${name}:all ${name}:a -l v=a`);
  await box.ok(`index add ${name}:all ${name}:b -l v=b`);
  await box.ok(`index push ${name}:all`);
  await box.ok(`push ${name}:a`);
  await box.ok(`sign ${name}:a --key cosign.key`, env);
  const there = { env: { KIT_HOME: box.path('there') } };
  await box.ok(`unpack ${name}:all -l v=a -d a --verify --key cosign.pub`, there);
  expect(await box.kit(`unpack ${name}:all -l v=b -d b --verify --key cosign.pub`, there)).toMatchObject({ status: 6 });
  expect(await box.kit(`pull ${name}:all -l v=b --verify --key cosign.pub`, there)).toMatchObject({ status: 6 });
  await box.ok(`sign ${name}:all --key cosign.key`, env);
  await box.ok(`unpack ${name}:all -l v=b -d b --verify --key cosign.pub`, there);
  await box.ok(`pull ${name}:all -l v=b --verify --key cosign.pub`, there);
});

test('labels from the headers of the weights', async () => {
  const box = await sandbox();
  const header = Buffer.from(JSON.stringify({ w: { dtype: 'BF16', shape: [1000, 1500], data_offsets: [0, 3_000_000] } }));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.byteLength));
  await box.write({ 'm/model.safetensors': Buffer.concat([size, header, Buffer.alloc(3_000_000)]) });
  await box.write({ 'm/Kitfile': 'manifestVersion: 1.0.0\nmodel: {path: model.safetensors}\n' });
  await box.ok('pack m -t m:bf16');
  await box.ok('index create m:all');
  await box.ok('index add m:all m:bf16 --detect -l format=mine');
  expect(JSON.parse(await box.ok('index info m:all --format json'))).toMatchObject({
    modelKits: [{ labels: { format: 'mine', parameters: '1.5M', quantization: 'BF16' } }],
  });
});

test('other indexes are chosen from by platform and kind', async () => {
  const box = await sandbox();
  const olot = `oci:${join(GOLDEN, 'modelcar-olot')}:v1`;
  await box.ok(['unpack', olot, '-l', 'platform=linux/amd64', '-d', 'image']);
  await box.ok(['unpack', olot, '-l', 'format=modelpack', '-d', 'modelpack']);
  expect(await box.tree('image')).toContain('config.json');
  expect(await box.tree('modelpack')).toContain('Kitfile');
  expect(await box.ok(['index', 'info', olot])).toMatch(/^\d+ manifests:$/m);
  expect(await box.kit(['unpack', olot, '-l', 'platform=linux/s390x', '-d', 'none'])).toMatchObject({ status: 3, stdout: '' });
});

test('one of an index is converted', async () => {
  const box = await sandbox();
  const digest = await pack(box, 'test/model:q4');
  await pack(box, 'test/model:q8');
  await box.ok('index create test/model:all');
  for (const tag of ['q4', 'q8']) await box.ok(`index add test/model:all test/model:${tag} -l quantization=${tag}`);
  expect(await box.kit('convert test/model:all test/model:car --to modelcar')).toMatchObject({ status: 1 });
  const converted = await box.ok('convert test/model:all test/model:car --to modelcar --label quantization=q4 --format json');
  expect(JSON.parse(converted)).toMatchObject({ sourceDigest: digest });
});

test('usage', async () => {
  const box = await sandbox();
  await pack(box, 'm:a');
  await box.ok('index create m:all');
  for (const args of [
    'index nope',
    'index add m:all m:a -l x',
    'index add m:all m',
    'index add m:all n:a',
    'index create m:a,b',
    'unpack m:all -l x',
  ])
    expect(await box.kit(args), args).toMatchObject({ status: 2, stdout: '' });
  expect(await box.kit('index create m:all')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: m:all exists already: it is sha256:a9fb1fab7732…

    hint: choose another tag, or take that one away: \`kit remove m:all\`
  `);
  expect(await box.kit('unpack m:a -l x=y -d out')).toMatchInlineSnapshot(`
    exit 1
    --- stderr
    error: m:a is no index: there is nothing to choose from by label

    hint: leave \`--label\` out
  `);
});

describe('list --filter', () => {
  test('what has a part of this type, or of this name', async () => {
    const box = await sandbox();
    await pack(box, 'one:v1');
    await box.write({ 'two/d.csv': '1', 'two/Kitfile': 'manifestVersion: 1.0.0\ndatasets: [{name: train, path: d.csv}]\n' });
    await box.ok('pack two -t two:v1');
    const names = async (...flags: string[]) =>
      (JSON.parse(await box.ok(['list', '--format', 'json', ...flags])) as { repo: string }[]).map(({ repo }) => repo);
    expect(await names()).toEqual(['one', 'two']);
    expect(await names('-f', 'model')).toEqual(['one']);
    expect(await names('--filter=datasets:train')).toEqual(['two']);
    expect(await names('-f', 'model:other')).toEqual([]);
    expect(await names('-f', 'code,docs', '-f', 'model:v1.bin')).toEqual(['one']);
    expect(await box.kit(['list', '-f', 'path:*.csv'])).toMatchObject({ status: 2 });
    expect(await box.kit(['list', '-f', 'nope'])).toMatchObject({ status: 2 });
    // the list as it was is remembered still
    expect(await names()).toEqual(['one', 'two']);
  });
});

test('the cache, as KitOps shows it', async () => {
  const box = await sandbox();
  expect(await box.ok('cache info')).toBe('Cache is currently empty\n');
  await pack(box, 'm:a');
  await box.ok('list');
  expect(await box.ok('cache info')).toMatch(
    /^Total size of cache directory: [\d.]+ (?:B|KiB)\nCache contents:\n(?: {2}\.\/\S+ +[\d.]+ (?:B|KiB)\n)+$/,
  );
  expect(await box.ok('cache clear')).toBe('');
  expect(await box.ok('cache info')).toBe('Cache is currently empty\n');
  expect(await box.ok('list')).toMatch(/^m +a /m);
});
