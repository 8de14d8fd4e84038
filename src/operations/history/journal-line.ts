import * as z from 'zod';
import { type Digest, isDigest } from '../../oci/digest.ts';

const digest = z.custom<Digest>(isDigest);
const line = z.object({
  place: z.string(),
  tag: z.string(),
  kind: z.enum(['promotion', 'rollback', 'move']),
  digest,
  previous: digest.nullish(),
  when: z.iso.datetime(),
  by: z.string().optional(),
  from: z.string().optional(),
});

/** A move as the journal has it. */
export type JournalLine = z.infer<typeof line>;

/** Undefined for a line that is damaged. */
export function parseLine(text: string): JournalLine | undefined {
  try {
    return line.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
