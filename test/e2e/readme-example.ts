// #begin
import { createKit, isKitError, pack, parseLocation, push, unpack } from 'ocikit';

export async function release(directory: string, reference: string, out: string): Promise<string> {
  const kit = createKit({ concurrency: 8 });
  const signal = AbortSignal.timeout(60 * 60 * 1000);
  const call = { signal, onEvent: (event: { type: string }) => console.error(event.type) };
  try {
    const location = parseLocation(reference);
    const { digest } = await pack(kit, { directory, destination: location }, call);
    await push(kit, { source: location }, call);
    await unpack(kit, { source: location, directory: out, filters: [{ types: ['model'], patterns: [], text: 'model' }] }, call);
    return digest;
  } catch (error) {
    if (isKitError(error, 'UNAUTHORIZED')) console.error(error.message, error.hint);
    throw error;
  } finally {
    await kit.close();
  }
}
// #end
