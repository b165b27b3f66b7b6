import { useEffect, useRef, useState } from 'preact/hooks';
import { failed, note } from '../actions.ts';
import { Refused, base, post, upload } from '../api.ts';
import { admin, classes, jobs } from '../board.ts';
import { Act } from '../parts/Act.tsx';
import { Commands } from '../parts/Commands.tsx';
import { Icon } from '../parts/Icon.tsx';
import { Bar } from '../parts/Meter.tsx';
import { bytes, many, percent, t } from '../words.ts';
import { folders, names, pack } from '../zip.ts';
import { type Dropped, dropped, isZip } from './drop.ts';
import { Row } from './Jobs.tsx';

/** Pictures in and out. */
export function Transfer() {
  return (
    <div class="columns">
      <div class="column">
        <Import />
      </div>
      <div class="column">
        <Try />
        <Export />
      </div>
    </div>
  );
}

function Import() {
  const [files, setFiles] = useState<Dropped[]>([]);
  const [found, setFound] = useState<Map<string, number>>(new Map());
  const [name, setName] = useState('');
  const [over, setOver] = useState(false);
  const [part, setPart] = useState<number | null>(null);
  const picker = useRef<HTMLInputElement>(null);
  const camera = useRef<HTMLInputElement>(null);
  const loose = found.get('') ?? 0;

  // What was understood is shown before it is stored.
  async function take(list: Dropped[]) {
    setFiles(list);
    const paths: string[] = [];
    for (const one of list) {
      paths.push(...(isZip(one.file) ? await names(one.file) : [one.path]));
    }
    setFound(folders(paths));
  }

  // A zip goes as it is; pictures go as one zip of one folder a class, so that they are one import.
  async function send() {
    try {
      setPart(0);
      const loosely = name.trim();
      const zips = files.filter((one) => isZip(one.file));
      const pictures = files.filter((one) => !isZip(one.file) && folders([one.path]).size > 0);
      const named = pictures.map(({ file, path }) => {
        const parts = path.split('/');
        return { file, path: `${parts[parts.length - 2] ?? loosely}/${parts[parts.length - 1] ?? file.name}` };
      });
      const bodies = zips.map((one) => one.file as Blob);
      if (named.length > 0) {
        bodies.push(await pack(named));
      }
      for (const [i, body] of bodies.entries()) {
        const flat = i < zips.length && loose > 0 && found.size === 1;
        const query = flat ? `?class=${encodeURIComponent(loosely)}` : '';
        await patiently(() => upload(`import${query}`, body, (done) => setPart((i + done) / bodies.length)));
      }
      note(t('import.sent'));
      setFiles([]);
      setFound(new Map());
    } catch (error) {
      failed(error);
    } finally {
      setPart(null);
    }
  }

  const pick = (input: HTMLInputElement | null) =>
    void take([...(input?.files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
  const latest = jobs.value.find((job) => job.op === 'import' || (job.op === 'dataset' && job.result?.assumed !== undefined));
  const unclear = loose > 0 && name.trim() === '';
  return (
    <section class="card stack" aria-labelledby="import">
      <h2 id="import">{t('import')}</h2>
      <p class="quiet">{t('import.how')}</p>
      <div
        class="drop"
        data-over={over}
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          if (event.dataTransfer && admin.value) {
            void dropped(event.dataTransfer).then(take);
          }
        }}
      >
        <Icon name="upload" />
        <p>{t('import.drop')}</p>
        <div class="row wrap">
          <Act onClick={() => picker.current?.click()}>{t('import.pick')}</Act>
          <Act onClick={() => camera.current?.click()}>
            <Icon name="phone" />
            {t('import.camera')}
          </Act>
        </div>
        <input
          ref={picker}
          type="file"
          hidden
          multiple
          accept="image/*,.zip"
          aria-label={t('import.pick')}
          onChange={(event) => pick(event.currentTarget)}
        />
        <input
          ref={camera}
          type="file"
          hidden
          accept="image/*"
          capture="environment"
          aria-label={t('import.camera')}
          onChange={(event) => pick(event.currentTarget)}
        />
      </div>
      {files.length > 0 && (
        <div class="stack tight" aria-live="polite">
          <p>
            {many('import.files', files.length)}, {bytes(files.reduce((sum, one) => sum + one.file.size, 0))}
          </p>
          <ul class="plain">
            {[...found].map(([folder, n]) => (
              <li key={folder}>
                {folder === '' ? many('import.loose', n) : many('import.folder', n, { class: folder })}
              </li>
            ))}
          </ul>
          {found.size === 0 && <p class="wrong">{t('import.nothing')}</p>}
          {loose > 0 && (
            <label class="field">
              {t('import.class')}
              <input
                list="classes"
                value={name}
                maxLength={64}
                onInput={(event) => setName(event.currentTarget.value)}
              />
              <datalist id="classes">
                {classes.value.map((one) => (
                  <option key={one} value={one} />
                ))}
              </datalist>
            </label>
          )}
          {part !== null && <Bar part={part} />}
          <div class="row">
            <Act
              class="main"
              why={(found.size === 0 && t('import.nothing')) || (unclear && t('import.class.missing')) || (part !== null && percent(part))}
              onClick={() => void send()}
            >
              {t('import.do')}
            </Act>
            <Act looks onClick={() => void take([])}>
              {t('cancel')}
            </Act>
          </div>
        </div>
      )}
      {latest && (
        <ul class="rows">
          <Row job={latest} />
        </ul>
      )}
      <Commands op="dataset" body={{ action: 'import', path: 'FOLDER' }} />
    </section>
  );
}

/** One import runs at a time; the next one waits for its turn. */
async function patiently(send: () => Promise<unknown>): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await send();
      return;
    } catch (error) {
      if (!(error instanceof Refused && error.fault.code === 'busy') || tries > 120) {
        throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

function Export() {
  return (
    <section class="card stack" aria-labelledby="export">
      <h2 id="export">{t('export')}</h2>
      <p class="quiet">{t('export.how')}</p>
      <div class="row">
        <a class="button" href={`${base}/export`} download="graft-export.zip">
          <Icon name="download" />
          {t('export.do')}
        </a>
      </div>
      <Commands op="dataset" body="export" />
    </section>
  );
}

interface Predicted {
  label: string | null;
  score?: number | null;
  why?: string;
  top: { class: string; score: number }[];
}

/** Send a picture, get the answer. */
function Try() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const [answer, setAnswer] = useState<Predicted | null>(null);
  const [file, setFile] = useState<File | null>(null);

  useEffect(() => {
    if (!file) {
      return;
    }
    // Drawn, not linked: the policy of the page allows no addresses of the browser's own.
    void createImageBitmap(file).then(
      (picture) => {
        const element = canvas.current;
        if (element) {
          const scale = Math.min(1, 320 / Math.max(picture.width, picture.height));
          element.width = Math.round(picture.width * scale);
          element.height = Math.round(picture.height * scale);
          element.getContext('2d')?.drawImage(picture, 0, 0, element.width, element.height);
        }
      },
      () => undefined,
    );
    void post<Predicted>('predict', file).then(setAnswer, failed);
  }, [file]);

  return (
    <section class="card stack" aria-labelledby="try">
      <h2 id="try">{t('try')}</h2>
      <p class="quiet">{t('try.how')}</p>
      <div class="row">
        <Act onClick={() => picker.current?.click()}>{t('try.pick')}</Act>
      </div>
      <input
        ref={picker}
        type="file"
        hidden
        accept="image/*"
        aria-label={t('try.pick')}
        onChange={(event) => {
          setAnswer(null);
          setFile(event.currentTarget.files?.[0] ?? null);
        }}
      />
      {file && <canvas ref={canvas} class="tried" role="img" aria-label={file.name} />}
      {answer && (
        <p aria-live="polite">
          <strong>
            {answer.why === 'no_head' ? t('answer.nothing') : (answer.label ?? t('answer.none'))}
          </strong>{' '}
          {typeof answer.score === 'number' && answer.why !== 'no_head' && percent(answer.score)}
        </p>
      )}
    </section>
  );
}
