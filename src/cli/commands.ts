import type { Command } from 'commander';
import type { OpenContext } from './context.ts';

export interface CommandModule {
  /** Declares arguments and options, and the action. `context` is to be called when the action runs, if it needs one. */
  register(command: Command, context: OpenContext): void;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** In the order of the help text: the main job first. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'init', summary: 'Write a Kitfile for the contents of a directory', load: () => import('./commands/init.ts') },
  {
    name: 'import',
    summary: 'Pack a model or dataset straight from Hugging Face, git, a URL or a directory',
    load: () => import('./commands/import.ts'),
  },
  { name: 'pack', summary: 'Pack a directory as a ModelKit', load: () => import('./commands/pack.ts') },
  { name: 'push', summary: 'Send a ModelKit to a registry', load: () => import('./commands/push.ts') },
  { name: 'pull', summary: 'Fetch a ModelKit from a registry into local storage', load: () => import('./commands/pull.ts') },
  {
    name: 'unpack',
    summary: 'Unpack a ModelKit, or parts of it, from local storage or straight from a registry',
    load: () => import('./commands/unpack.ts'),
  },
  { name: 'tag', summary: 'Give a ModelKit another name', load: () => import('./commands/tag.ts') },
  {
    name: 'copy',
    summary: 'Copy between registries, local storage, image layouts and archives',
    load: () => import('./commands/copy.ts'),
  },
  { name: 'cp', summary: 'The same as copy', load: () => import('./commands/copy.ts') },
  { name: 'convert', summary: 'Write a ModelKit in another format', load: () => import('./commands/convert.ts') },
  { name: 'save', summary: 'Save ModelKits as one OCI archive, for an air gap', load: () => import('./commands/save.ts') },
  { name: 'load', summary: 'Load an OCI archive into local storage', load: () => import('./commands/load.ts') },
  {
    name: 'index',
    summary: 'Offer several variants of a model under one name, chosen by label',
    load: () => import('./commands/model-index.ts'),
  },
  { name: 'list', summary: 'List ModelKits in local storage or in a repository', load: () => import('./commands/list.ts') },
  { name: 'query', summary: 'Find models by what they say of themselves', load: () => import('./commands/query.ts') },
  { name: 'catalog', summary: 'Keep an index of registries for queries', load: () => import('./commands/catalog.ts') },
  { name: 'inspect', summary: 'Show manifest and Kitfile of a ModelKit as JSON', load: () => import('./commands/inspect.ts') },
  { name: 'info', summary: 'Show the Kitfile of a ModelKit', load: () => import('./commands/info.ts') },
  { name: 'files', summary: 'List the files of a ModelKit without downloading it', load: () => import('./commands/files.ts') },
  { name: 'cat', summary: 'Print one file of a ModelKit', load: () => import('./commands/cat.ts') },
  { name: 'diff', summary: 'Compare two ModelKits', load: () => import('./commands/diff.ts') },
  { name: 'sign', summary: 'Sign a ModelKit', load: () => import('./commands/sign.ts') },
  { name: 'verify', summary: 'Prove by whom a ModelKit was signed', load: () => import('./commands/verify.ts') },
  { name: 'attest', summary: 'Sign a statement about a ModelKit', load: () => import('./commands/attest.ts') },
  {
    name: 'verify-attestation',
    summary: 'Prove that something was attested of a ModelKit',
    load: () => import('./commands/verify-attestation.ts'),
  },
  {
    name: 'policy',
    summary: 'Judge artifacts and other documents by policies, and test policies',
    load: () => import('./commands/policy.ts'),
  },
  { name: 'sbom', summary: 'Write the bill of materials of a ModelKit, attach or attest it', load: () => import('./commands/sbom.ts') },
  {
    name: 'download',
    summary: 'Print signatures, attestations or an SBOM that lie beside a ModelKit',
    load: () => import('./commands/download.ts'),
  },
  {
    name: 'generate-key-pair',
    summary: 'Make a key pair for signing, as cosign does',
    load: () => import('./commands/generate-key-pair.ts'),
  },
  { name: 'gitops', summary: 'Push manifests for Argo CD and Flux, and pull them', load: () => import('./commands/gitops.ts') },
  {
    name: 'generate',
    summary: 'Print Kubernetes objects for an artifact: KServe, pods, Argo CD, Flux, Kyverno',
    load: () => import('./commands/generate.ts'),
  },
  {
    name: 'init-container',
    summary: 'Unpack what the environment names, as an init container',
    load: () => import('./commands/init-container.ts'),
  },
  {
    name: 'history',
    summary: 'Show the versions of a repository or the moves of a tag, and what changed',
    load: () => import('./commands/history.ts'),
  },
  {
    name: 'promote',
    summary: 'Put a tag on a ModelKit, copying it if need be, and record that',
    load: () => import('./commands/promote.ts'),
  },
  { name: 'rollback', summary: 'Put a tag back on what it was', load: () => import('./commands/rollback.ts') },
  { name: 'tree', summary: 'Show what a ModelKit is made from, and what refers to it', load: () => import('./commands/tree.ts') },
  { name: 'audit', summary: 'Export who packed, signed, attested and promoted a ModelKit', load: () => import('./commands/audit.ts') },
  { name: 'remove', summary: 'Remove ModelKits from local storage or a registry', load: () => import('./commands/remove.ts') },
  { name: 'serve', summary: 'Serve local storage or an image layout as a registry', load: () => import('./commands/serve.ts') },
  { name: 'store', summary: 'Check, prune or describe local storage', load: () => import('./commands/store.ts') },
  { name: 'cache', summary: 'Show or clear what is remembered to save time', load: () => import('./commands/cache.ts') },
  { name: 'migrate', summary: 'Take over the storage of KitOps from another folder', load: () => import('./commands/migrate.ts') },
  { name: 'login', summary: 'Log in to a registry', load: () => import('./commands/login.ts') },
  { name: 'logout', summary: 'Log out from a registry', load: () => import('./commands/logout.ts') },
  { name: 'skill', summary: 'Teach coding agents to use kit', load: () => import('./commands/skill.ts') },
  {
    name: 'completion',
    summary: 'Print the script that completes commands and flags in bash, zsh or fish',
    load: () => import('./commands/completion.ts'),
  },
  { name: 'version', summary: 'Show the version', load: () => import('./commands/version.ts') },
];
