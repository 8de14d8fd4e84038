import { isKitError } from '../errors.ts';

/** True when done, false when what it is about was not there. */
export async function unlessMissing(work: Promise<unknown> | undefined): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (isKitError(error, 'REFERENCE_NOT_FOUND')) return false;
    throw error;
  }
}
