// The command line and the MQTT message of an action, so that people can copy what they just did.

const plain = /^[\w@%+=:,./-]+$/;

/** A word as a shell takes it. */
export function quote(word: string): string {
  return plain.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`;
}

type Body = Record<string, unknown> | string;

function options(body: Record<string, unknown>, names: string[]): string {
  return names
    .filter((name) => body[name] !== undefined)
    .map((name) => ` --${name.replace(/_/g, '-')} ${quote(String(body[name]))}`)
    .join('');
}

/** The command line that does the same; none where it has no such command. */
export function shell(op: string, body: Body): string | undefined {
  const fields = typeof body === 'string' ? { action: body } : body;
  const action = String(fields.action ?? '');
  // By their numbers; a whole burst has no command line.
  const which = [fields.samples ?? fields.sample ?? []].flat().join(',');
  const word = (name: string) => quote(String(fields[name] ?? ''));
  switch (`${op} ${action}`) {
    case 'mode adapt':
      return 'graft start';
    case 'mode infer':
      return 'graft stop';
    case 'mode pause':
      return 'graft mode pause';
    case 'capture start':
      return `graft capture start${options(fields, ['class', 'seconds', 'hz', 'max', 'burst'])}`;
    case 'capture snap':
      return `graft capture snap${options(fields, ['class'])}`;
    case 'label relabel':
      return which === '' ? undefined : `graft label relabel ${which} ${word('class')}`;
    case 'label delete':
      return which === '' ? undefined : `graft label delete ${which}`;
    case 'label set':
      return `graft label set ${word('class')}${options(fields, ['frame', 'burst'])}`;
    case 'dataset add_class':
      return `graft dataset add-class ${word('class')}`;
    case 'dataset rename_class':
      return `graft dataset rename-class ${word('class')} ${word('to')}`;
    case 'dataset remove_class':
      return `graft dataset remove-class ${word('class')} --yes`;
    case 'dataset import':
      return `graft dataset import ${word('path')}`;
    case 'dataset clear':
      return 'graft dataset clear --yes';
    case 'train start':
      return 'graft train --wait';
    case 'train cancel':
      return 'graft train --cancel';
    case 'head rollback':
      return 'to' in fields ? `graft head rollback --to ${word('to')}` : 'graft head rollback';
    case 'head pin':
      return fields.on === false ? 'graft head pin --off' : 'graft head pin';
    case 'head apply':
      return `graft head apply ${word('version')}`;
    case 'config set':
      return Object.entries((fields.values ?? {}) as Record<string, unknown>)
        .map(([key, value]) => `graft config set ${quote(`${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`)}`)
        .join('\n');
    case 'job cancel':
      return `graft job cancel ${word('job')}`;
    case 'offload start':
      return `graft offload start${options(fields, ['recipe'])}`;
    case 'backbone rollback':
      return 'graft backbone rollback';
    default:
      return action ? `graft ${op} ${action.replace(/_/g, '-')}` : undefined;
  }
}

/** The MQTT message that does the same. */
export function mqtt(device: string, op: string, body: Body): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return `mosquitto_pub -h BROKER -q 1 -t ${quote(`graft/${device || 'DEVICE'}/cmd/${op}`)} -m ${quote(text)}`;
}
