import { describe, expect, onTestFinished, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';
import { startRegistry, type TestRegistry } from '../support/registry.ts';

interface Fleet {
  readonly box: Sandbox;
  readonly origin: TestRegistry;
  readonly mirror: TestRegistry;
  readonly name: string;
  /** The registries.conf of the user, for names at the registry. */
  conf(...lines: readonly string[]): Promise<void>;
}

/** `team/model:v1` in a registry, and a mirror that has it under `copies/`. */
async function fleet(): Promise<Fleet> {
  const box = await sandbox();
  const [origin, mirror] = await Promise.all([startRegistry(), startRegistry()]);
  onTestFinished(async () => {
    await Promise.all([origin.close(), mirror.close()]);
  });
  await box.write({
    'src/Kitfile': 'manifestVersion: "1.0"\npackage: {name: m}\nmodel: {path: model.bin}\n',
    'src/model.bin': Buffer.alloc(2_000_000, 'weights'),
  });
  const name = `${origin.host}/team/model:v1`;
  await box.ok(`pack src -t ${name} --push`);
  await box.ok(`pack src -t ${mirror.host}/copies/team/model:v1 --push`);
  for (const registry of [origin, mirror]) registry.clear();
  const conf = async (...lines: readonly string[]) => {
    const text = ['[[registry]]', `location = "${origin.host}"`, ...lines, '[[registry.mirror]]', `location = "${mirror.host}/copies"`];
    await box.write({ '.config/containers/registries.conf': `${text.join('\n')}\n` });
  };
  return { box, origin, mirror, name, conf };
}

describe('registries.conf of podman and skopeo', () => {
  test.each(['pull NAME', 'unpack NAME -d out', 'inspect --remote NAME', 'info --remote NAME', 'copy NAME oci:layout:v1'])(
    '`kit %s` reads from the mirror alone',
    async (command) => {
      const all = await fleet();
      await all.conf();
      await all.box.ok(command.replace('NAME', all.name));
      expect(all.origin.requests).toEqual([]);
      expect(all.mirror.log()).toContain('HEAD /v2/copies/team/model/manifests/v1 -> 200');
    },
  );

  test('what was pulled is kept under its own name, and -v tells where it came from', async () => {
    const all = await fleet();
    await all.conf();
    const { status, stderr } = await all.box.kit(`pull -v ${all.name}`);
    expect(status).toBe(0);
    expect(stderr).toBe('reading from mirror 127.0.0.1:55555/copies/team/model (http://127.0.0.1:55555)\n');
    expect(await all.box.ok(`info ${all.name}`)).toContain('manifestVersion');
  });

  test('a push goes to the registry', async () => {
    const all = await fleet();
    await all.conf();
    await all.box.ok(`pull ${all.name}`);
    all.mirror.clear();
    await all.box.ok(`push ${all.name} ${all.origin.host}/team/other:v2`);
    await all.box.ok(`remove --remote ${all.name}`);
    await all.box.ok(`list ${all.origin.host}/team/other`);
    expect(all.mirror.requests).toEqual([]);
  });

  test('a mirror that is gone is told, and everything comes from the registry', async () => {
    const all = await fleet();
    await all.conf();
    await all.mirror.close();
    const { status, stderr } = await all.box.kit(`pull ${all.name}`);
    expect(status).toBe(0);
    expect(stderr).toBe(
      'warning: mirror 127.0.0.1:55555/copies/team/model is left out: HEAD http://127.0.0.1:55555/v2/copies/team/model/manifests/v1: 127.0.0.1:55555 cannot be reached (ECONNREFUSED)\n',
    );
  });

  test('a layer that the mirror has changed is refused', async () => {
    const all = await fleet();
    await all.conf();
    all.mirror.behaviour.faults.push({ match: /GET .*blobs/, skip: 1, status: 200, body: 'x'.repeat(2_001_920) });
    const { status } = await all.box.kit(`unpack ${all.name} -d out`);
    expect(status).toBe(6);
    await expect(all.box.tree('out')).rejects.toThrow('ENOENT');
  });

  test('digest-only mirrors do not decide what a tag means', async () => {
    const all = await fleet();
    await all.conf('mirror-by-digest-only = true');
    await all.box.ok(`pull ${all.name}`);
    expect(all.mirror.requests).toEqual([]);
    const [, digest] = /"digest":\s*"(sha256:[0-9a-f]{64})"/.exec(await all.box.ok(`inspect --remote ${all.name}`)) ?? [];
    all.origin.clear();
    await all.box.ok(`pull ${all.origin.host}/team/model@${digest}`);
    expect(all.origin.requests).toEqual([]);
  });

  test('what is blocked is not read', async () => {
    const all = await fleet();
    await all.conf('blocked = true');
    const { status, stderr } = await all.box.kit(`pull ${all.name}`);
    expect(status).toBe(4);
    expect(stderr).toContain('error: 127.0.0.1:55555/team/model:v1: reading it is forbidden by ');
    expect(all.origin.requests).toEqual([]);
  });

  test('it can be left aside', async () => {
    const all = await fleet();
    await all.conf('blocked = true');
    await all.box.write({ 'home/config.toml': 'registries-conf = false\n' });
    await all.box.ok(`pull ${all.name}`);
    expect(all.mirror.requests).toEqual([]);
  });
});

test('a mirror of our own configuration comes before those of registries.conf', async () => {
  const all = await fleet();
  await all.conf('blocked = true');
  const own = `[[registry."${all.origin.host}".mirror]]\nlocation = "${all.mirror.host}/copies"\nheaders = { X-Dragonfly-Registry = "http://x" }\n`;
  await all.box.write({ 'home/config.toml': own });
  await all.box.ok(`unpack ${all.name} -d out`);
  expect(all.mirror.requests.map(({ headers }) => headers['x-dragonfly-registry'])).toEqual(all.mirror.requests.map(() => 'http://x'));
  expect(all.origin.requests).toEqual([]);
});
