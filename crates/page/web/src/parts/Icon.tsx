const paths = {
  camera: 'M4 8h3l2-3h6l2 3h3v11H4z M12 17a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z',
  pictures: 'M4 4h7v7H4z M13 4h7v7h-7z M4 13h7v7H4z M13 13h7v7h-7z',
  heads: 'M4 19l5-6 4 3 7-9 M15 7h5v5',
  board: 'M7 7h10v10H7z M10 3v4 M14 3v4 M10 17v4 M14 17v4 M3 10h4 M3 14h4 M17 10h4 M17 14h4',
  undo: 'M9 6L4 11l5 5 M4 11h10a5 5 0 0 1 0 10h-3',
  close: 'M6 6l12 12 M18 6L6 18',
  check: 'M5 12l5 5L19 7',
  warn: 'M12 4L2.5 20h19z M12 10v5 M12 17.5v.5',
  more: 'M5.500 12h1 M11.500 12h1 M17.500 12h1',
  plus: 'M12 5v14 M5 12h14',
  region: 'M4 9V4h5 M15 4h5v5 M20 15v5h-5 M9 20H4v-5',
  copy: 'M9 9h11v11H9z M5 15H4V4h11v1',
  code: 'M8 8l-4 4 4 4 M16 8l4 4-4 4 M13.5 5l-3 14',
  help: 'M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4 M12 17.5v.5',
  phone: 'M8 3h8v18H8z M11 18h2',
  upload: 'M12 16V5 M7 10l5-5 5 5 M5 19h14',
  download: 'M12 5v11 M7 11l5 5 5-5 M5 20h14',
  pin: 'M9 4h6l-1 6 3 3H7l3-3z M12 13v7',
  back: 'M14 6l-6 6 6 6',
  eye: 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6z',
  trash: 'M5 7h14 M9 7V4h6v3 M7 7l1 13h8l1-13',
  leaf: 'M12 21V12 M12 14c0-5 3-8 9-8 0 6-3 8-9 8z M12 11c0-4-2.500-7-8-7 0 5 3 7 8 7z',
};

export type IconName = keyof typeof paths;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
      <path d={paths[name]} />
    </svg>
  );
}
