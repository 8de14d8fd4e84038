import type { Annotations } from '../../oci/descriptor.ts';
import type { ImportFilter } from './filter.ts';
import type { ImportTree } from './tree.ts';

/** What the place says of a model or dataset besides its files. */
export interface ImportedCard {
  readonly type: 'model' | 'dataset';
  /** `org/name`, or `name`. */
  readonly id: string;
  /** As a Hugging Face card has it. */
  readonly license?: string | undefined;
  /** transformers, diffusers, ... */
  readonly library?: string | undefined;
  readonly title?: string | undefined;
}

/** Where to import from, as the user says it. */
export interface ImportLocation extends ImportFilter {
  readonly source: string;
  /** Branch, tag or commit, where the source has such. */
  readonly revision?: string | undefined;
  readonly token?: string | undefined;
  /** What to take the source for; default: what it looks like. `file` is one of a web server or S3 as it is, an archive too. */
  readonly tool?: 'hf' | 'git' | 'file' | undefined;
  /** Only what lies here, of a git repository. */
  readonly below?: string | undefined;
  /** How deep directories are looked into for a Kitfile, as generateKitfile takes it. */
  readonly depth?: number | undefined;
}

/** Something that can be imported, looked up: which files there are, and what is known of them. */
export interface ImportSource {
  /** `org/name`, or the name of a folder or file: for messages, and for the ModelKit. */
  readonly name: string;
  readonly tree: ImportTree;
  readonly card: ImportedCard;
  /** For the manifest: where it comes from. */
  readonly annotations: Annotations;
  /** The commit, where there is one. */
  readonly revision: string | undefined;
  /** Where a person finds it. */
  readonly uri: string;
  /** The file or folder that was named, where that is not all of the tree. */
  readonly below?: string | undefined;
  /** Takes away what was needed on this machine meanwhile. */
  dispose?(): Promise<void>;
}
