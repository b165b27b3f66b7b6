import { defineConfig } from 'vite';

// `npm run dev` shows the page from its sources, with a running daemon behind it: GRAFT=http://127.0.0.1:8470 npm run dev
const daemon = 'http://127.0.0.1:8470';

export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2021',
    // The content security policy of the page allows no `data:` addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  server: { proxy: { '/api': { target: daemon, changeOrigin: true, headers: { origin: daemon } } } },
});
