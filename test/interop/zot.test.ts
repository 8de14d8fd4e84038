import { describe } from 'vitest';
import { hasZot, startZot } from '../support/zot.ts';
import { registrySuite } from './registry-suite.ts';

describe.skipIf(!hasZot)('against zot', () => {
  registrySuite(startZot, { untags: true, sharesBlobs: true, missingLayer: 'REGISTRY_ERROR' });
});
