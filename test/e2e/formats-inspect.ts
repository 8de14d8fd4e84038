import type { Sandbox } from '../support/kit.ts';

/** What `kit inspect` prints. */
export interface Inspected {
  readonly digest: string;
  readonly format?: string;
  readonly description?: string;
  readonly problem?: string;
  readonly kitfile?: { readonly model?: Readonly<Record<string, unknown>> };
  readonly manifest?: {
    readonly config: { readonly digest: string };
    readonly layers: readonly { readonly digest: string; readonly mediaType: string }[];
  };
  readonly index?: { readonly manifests: readonly unknown[] };
}

export const inspect = async (box: Sandbox, ...args: string[]): Promise<Inspected> =>
  JSON.parse(await box.ok(['inspect', ...args])) as Inspected;
