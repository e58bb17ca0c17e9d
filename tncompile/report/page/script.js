"use strict";
// Draws each chart from the JSON behind it, again when the theme changes, and those in closed parts when they open.
const root = document.documentElement;
const themes = JSON.parse(document.getElementById("themes").textContent);
const system = matchMedia("(prefers-color-scheme: dark)");
const views = new Map();
let printing = false;

const dark = () => !printing && (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

async function draw(box) {
  const spec = JSON.parse(document.querySelector(`script[data-for="${box.id}"]`).textContent);
  spec.params.find(({ name }) => name === "dark").value = dark();
  const earlier = views.get(box);
  if (earlier) {  // what readers chose stays chosen
    for (const param of spec.params) if (param.bind) param.value = earlier.view.signal(param.name);
    earlier.finalize();
  }
  const controls = document.getElementById(`${box.id}-controls`);
  controls?.replaceChildren();
  views.set(box, await vegaEmbed(box, spec, {
    config: themes[dark() ? "dark" : "light"],
    renderer: box.dataset.renderer,
    bind: controls ?? undefined,
    actions: { export: true, source: false, compiled: false, editor: false },
    downloadFileName: box.id,
    tooltip: { theme: dark() ? "dark" : "light" },
  }));
}

const visible = () => [...document.querySelectorAll(".chart")].filter((box) => !box.closest("details:not([open])"));
const drawAll = () => Promise.all(visible().map(draw));

document.getElementById("theme").addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  drawAll();
});
system.addEventListener("change", drawAll);
for (const part of document.querySelectorAll("details")) {
  part.addEventListener("toggle", () => visible().filter((box) => !views.has(box)).forEach(draw));
}
const unfold = () => document.getElementById(location.hash.slice(1))?.closest("details")?.setAttribute("open", "");
addEventListener("hashchange", unfold);
unfold();
for (const [event, state] of [["beforeprint", true], ["afterprint", false]]) {
  addEventListener(event, () => {
    const before = dark();
    printing = state;
    if (dark() !== before) drawAll();
  });
}
drawAll().then(() => { root.dataset.drawn = ""; });
