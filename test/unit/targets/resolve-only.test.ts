import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openLayout } from '../../../src/targets/layout.ts';

const golden = join(import.meta.dirname, '..', '..', '..', 'fixtures', 'golden');

test.each([
  ['cosign-bundle', 'sha256:3f38b17f734e30a6c3d507cc1e983bffc8c244b7be9ab878eae10ff7fac5da56'],
  ['cosign-legacy', 'sha256:3f38b17f734e30a6c3d507cc1e983bffc8c244b7be9ab878eae10ff7fac5da56'],
  ['oras-attach-sbom', 'sha256:dd54605bb292440f7a6587b0265379f67a267f019c7ce948a4366c50fdc0be91'],
  ['oras-attach-fallback-tag', 'sha256:dd54605bb292440f7a6587b0265379f67a267f019c7ce948a4366c50fdc0be91'],
])('what refers to the artifact in %s is no choice', async (name, digest) => {
  const layout = await openLayout(join(golden, name));
  expect((await layout.resolveOnly()).digest).toBe(digest);
});
