// Bundles the page into ../static: one script, one style sheet, and the licences of what is in them.
// The same sources and lock file give the same bytes.
import { build } from "esbuild";
import { readFile, writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";

const out = join(import.meta.dirname, "..", "static");
const packages = ["preact", "@preact/signals", "@preact/signals-core", "htm", "lightweight-charts", "fancy-canvas", "uplot"];

await mkdir(out, { recursive: true });
await build({
  entryPoints: [join(import.meta.dirname, "src", "app.js")],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  outfile: join(out, "app.js"),
});

const texts = [];
for (const name of packages) {
  const folder = join(import.meta.dirname, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  let text = "";
  for (const file of ["LICENSE", "LICENSE.md", "license", "NOTICE"]) {
    text += await readFile(join(folder, file), "utf8").catch(() => "");
  }
  texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
}
await writeFile(join(out, "LICENSES.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));
