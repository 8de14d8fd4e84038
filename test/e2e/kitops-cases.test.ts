import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';
import { describe, expect, test } from 'vitest';
import { type Sandbox, sandbox } from '../support/kit.ts';

interface Contents {
  readonly kitfile: string;
  readonly kitignore?: string;
  readonly files?: readonly string[];
  readonly ignored?: readonly string[];
}

interface Tagged extends Contents {
  readonly tag: string;
  readonly packErrRegexp?: string;
}

const CASES = join(import.meta.dirname, '..', '..', 'fixtures', 'kitops-cases');

function casesIn(folder: string): { name: string; data: unknown }[] {
  return readdirSync(join(CASES, folder)).map((name) => ({ name, data: load(readFileSync(join(CASES, folder, name), 'utf8')) }));
}

const clean = (path: string): string => join(path);

async function writeContext(box: Sandbox, folder: string, { kitfile, kitignore, files = [], ignored = [] }: Contents): Promise<void> {
  const contents = [...files, ...ignored].map((path) => [`${folder}/${clean(path)}`, `testing: ${path}`] as const);
  await box.write({
    ...Object.fromEntries(contents),
    [`${folder}/Kitfile`]: kitfile,
    ...(kitignore === undefined ? {} : { [`${folder}/.kitignore`]: kitignore }),
  });
}

const filesOf = (tree: readonly string[]): string[] => tree.filter((path) => !path.endsWith('/'));

describe('pack and unpack, as KitOps tests it', () => {
  test.each(casesIn('pack-unpack'))('$name', async ({ data: contents }) => {
    const data = contents as Contents;
    const box = await sandbox();
    await writeContext(box, 'in', data);
    await box.ok('pack in -t test:test -vvv');
    await box.ok('unpack test:test -d out -vvv');
    expect(filesOf(await box.tree('out'))).toEqual(['Kitfile', ...(data.files ?? []).map(clean)].toSorted());
  });
});

describe('references between ModelKits, as KitOps tests them', () => {
  test.each(casesIn('modelkit-refs'))('$name', async ({ data }) => {
    const { modelkits } = data as { modelkits: readonly Tagged[] };
    const box = await sandbox();
    const accumulated = new Set<string>();
    for (const [index, modelkit] of modelkits.entries()) {
      await writeContext(box, `dir${index}`, modelkit);
      const packed = await box.kit(`pack dir${index} -t ${modelkit.tag}`);
      expect(packed.status, packed.stderr).toBe(modelkit.packErrRegexp === undefined ? 0 : 1);
      expect(packed.stderr).toMatch(new RegExp(modelkit.packErrRegexp ?? '^$', 'i'));
      if (packed.status !== 0) continue;
      for (const path of modelkit.files ?? []) accumulated.add(path);
      // the next one is packed among the files of this one: only its own may get into its layers
      await box.ok(`unpack ${modelkit.tag} -d dir${index + 1}`);
      expect(filesOf(await box.tree(`dir${index + 1}`))).toEqual([...accumulated, 'Kitfile'].toSorted());
    }
  });
});
